# SPDX-License-Identifier: Apache-2.0
"""Versions, searched for: those of a store, and those that this process knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.genai.filtering import Condition, conditions_of, ordered_by
from otel_loggedmodel.genai.stored import reader_of
from otel_loggedmodel.store.logged_models import model_of
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus

_MOST: Final = 10_000
_FIELDS: Final = (
    *("name", "model_id", "model_type", "status", "source_run_id", "experiment_id"),
    *("creation_timestamp", "creation_time", "last_updated_timestamp"),
)
_COLUMNS: Final = (
    *("model_id", "experiment_id", "name", "model_type", "status", "source_run_id", "creation_timestamp"),
    *("last_updated_timestamp", "tags", "params", "metrics"),
)


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Any = None,
    max_results: int | None = None,
    order_by: Any = None,
    output_format: str = "pandas",
    *,
    store: str | None = None,
    token: str | None = None,
) -> Any:
    """The versions of a store and of this process, the newest first.

    Args:
        experiment_ids: Of these experiments; by default of all.
        filter_string: Conditions joined by AND on `name`, `model_id`, `model_type`, `status`, `source_run_id`,
            `experiment_id`, `creation_timestamp`, and on params.<key>, tags.<key> and metrics.<key>.
        datasets: Not here: scores are compared by `otel-loggedmodel compare`.
        max_results: At most so many.
        order_by: A list of dicts with `field_name` and `ascending`, or of texts such as `"creation_timestamp DESC"`.
        output_format: `"pandas"` or `"list"`.
        store: Where, as for `search_traces`. If none can be asked, the versions that this process knows are searched.
        token: What a backend wants.

    Raises:
        ValueError: The filter cannot be read, or there is no such format.
        ImportError: pandas is not installed, and the format is that.
    """
    if output_format not in ("pandas", "list"):
        raise ValueError(f"output_format is {output_format!r}: pass 'pandas' or 'list'")
    conditions = conditions_of(filter_string)
    for condition in conditions:
        if condition.kind not in ("params", "tags", "metrics") and condition.key not in _FIELDS:
            raise ValueError(
                f"versions cannot be searched by {condition.key!r}: there are {', '.join(_FIELDS)}, params.<key>, "
                "tags.<key> and metrics.<key>"
            )
    found = [
        model
        for model in _all(store, token)
        if (experiment_ids is None or model.experiment_id in experiment_ids)
        and all(condition.holds(_found(condition, model)) for condition in conditions)
    ]
    found = ordered_by(found, order_by or ["creation_timestamp DESC"], _value)
    return _in_format(found[:max_results], output_format)


def last_logged_model() -> LoggedModel | None:
    """The version that this process made last, or None."""
    known = [model for model in catalogue.models() if model.creation_timestamp]
    return max(known, key=lambda model: model.creation_timestamp, default=None)


def _all(store: str | None, token: str | None) -> list[LoggedModel]:
    known = {model.model_id: model for model in catalogue.models() if model.name is not None}
    try:
        with reader_of(store, token) as reader:
            from otel_loggedmodel.genai import stored

            which = stored.versions_filter(limit=_MOST)
            listed = [_of_store(version) for version in reader.versions(which) if version.registered]
    except Exception as error:
        if store is not None:
            raise
        warn_once(
            "searching versions", "no store could be asked (%s): only versions of this process are searched", error
        )
        listed = []
    return list({**{model.model_id: model for model in listed}, **known}.values())


def _of_store(version: Version) -> LoggedModel:
    is_known = version.status in LoggedModelStatus.__members__
    return model_of(version if is_known else replace(version, status=LoggedModelStatus.READY.value))


def _found(condition: Condition, model: LoggedModel) -> Any:
    if condition.kind == "params":
        return model.params.get(condition.key)
    if condition.kind == "tags":
        return model.tags.get(condition.key)
    if condition.kind == "metrics":
        return next((metric.value for metric in model.metrics if metric.key == condition.key), None)
    return _value(model, condition.key)


def _value(model: LoggedModel, key: str) -> Any:
    kind, _, name = key.partition(".")
    if kind in ("params", "tags", "metrics"):
        return _found(Condition(kind, name.strip("`"), "=", None), model)
    key = "creation_timestamp" if key == "creation_time" else key
    found = getattr(model, key, None)
    return str(found) if isinstance(found, LoggedModelStatus) else found


def _in_format(found: list[LoggedModel], output_format: str) -> Any:
    if output_format == "list":
        return found
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "a table needs pandas: pip install 'otel-loggedmodel[evaluation]', or pass output_format='list'"
        ) from None
    return pandas.DataFrame([model.to_dictionary() for model in found], columns=list(_COLUMNS))
