# SPDX-License-Identifier: Apache-2.0
"""Puts back the stamp that a log record lost to the SDK's limits on its way to the exporter.

Processors behind ours may add attributes until the limit (128 by default) takes the oldest. A limit of 0 takes all of
them, and a limit on the length of values cuts an id to one that no version has.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes

from otel_loggedmodel.attributes import ID
from otel_loggedmodel.versions.active import NOTE


def restamped(batch: Sequence[Any]) -> Sequence[Any]:
    """The log records with the stamps that they were given. If nothing is missing, the batch itself."""
    replaced: dict[int, Any] = {}
    for index, data in enumerate(batch):
        record = data.log_record
        noted = getattr(record, NOTE, None)
        if noted is not None and _is_lost((record.attributes or {}).get(ID), noted):
            replaced[index] = _with_stamp(data, noted)
    return [replaced.get(index, data) for index, data in enumerate(batch)] if replaced else batch


def _is_lost(present: object, noted: str) -> bool:
    """Whether the stamp is missing or cut. Any other value was set by the application itself."""
    return present is None or (isinstance(present, str) and present != noted and noted.startswith(present))


def _with_stamp(data: Any, model_id: str) -> Any:
    record = copy.copy(data.log_record)
    record.attributes = _bounded(record.attributes or {}, model_id)
    if dataclasses.is_dataclass(data):
        return dataclasses.replace(data, log_record=record)  # type: ignore[type-var]
    return type(data)(record, data.instrumentation_scope)  # before 1.39


def _bounded(attributes: Mapping[str, Any], model_id: str) -> BoundedAttributes:
    found = {**attributes, ID: model_id}
    was_lost = ID not in attributes
    try:
        whole = BoundedAttributes(attributes=found, immutable=False, extended_attributes=True)
    except TypeError:  # before 1.35 there are no structured ones
        whole = BoundedAttributes(attributes=found, immutable=False)
    whole.dropped = max(0, getattr(attributes, "dropped", 0) - was_lost)
    return whole
