# SPDX-License-Identifier: Apache-2.0
"""Objects of applications as JSON has them: documents, messages and models are recorded with their fields."""

import dataclasses
from typing import Any


def fields_of(value: Any) -> Any:
    """The fields of a dataclass or of a model of pydantic's, for `default=` of `json.dumps`.

    Raises:
        TypeError: It is neither.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no fields that JSON could have")
