# SPDX-License-Identifier: Apache-2.0
"""LoggedModel, one version of an application, and what happens to it."""

import dataclasses
import enum
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal

# A metric of a version is a tag, as only its newest value counts.
METRIC_TAG: Final = "metric."
EventKind = Literal["created", "updated", "activated", "deleted"]


class LoggedModelStatus(str, enum.Enum):
    """The state of a LoggedModel. It is equal to its text, as in `model.status == "READY"`."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"
    # Databricks' pages name it among the statuses of a version.
    FAILED_REGISTRATION = "FAILED_REGISTRATION"

    def __str__(self) -> str:
        return self.value


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of a version, as it was logged last.

    Attributes:
        key: Its name.
        value: Its value.
        model_id: The version.
    """

    key: str
    value: float
    model_id: str


@dataclasses.dataclass(frozen=True, eq=False)
class LoggedModel:
    """One version of an application: an immutable snapshot of what this process knows of it.

    Attributes:
        model_id: The id that is stamped on spans.
        name: What the versions of one application have in common; None if this process does not know it.
        experiment_id: The experiment it belongs to.
        creation_timestamp: Milliseconds since the epoch; 0 if it was made elsewhere, so that this process cannot know.
        last_updated_timestamp: The same for its last change.
        model_type: A category of the user's, such as `"agent"`.
        source_run_id: The run that made it.
        status: A `LoggedModelStatus`.
        tags: Read-only. They may change between snapshots.
        params: Read-only, and write-once.
    """

    model_id: str
    name: str | None
    experiment_id: str = "0"
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    model_type: str | None = None
    source_run_id: str | None = None
    status: LoggedModelStatus = LoggedModelStatus.READY
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    @property
    def model_uri(self) -> str:
        """The URI that refers to this version, `models:/<model_id>`."""
        return f"models:/{self.model_id}"

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that were logged to it, as far as this process knows: its tags `metric.<key>`."""
        found = []
        for tag, text in self.tags.items():
            if tag.startswith(METRIC_TAG):
                try:
                    found.append(Metric(tag[len(METRIC_TAG) :], float(text), self.model_id))
                except ValueError:
                    continue  # somebody has set such a tag by hand
        return found

    def to_dictionary(self) -> dict[str, Any]:
        """Its fields, with texts for the status, and dicts for tags, params and metrics."""
        metrics = {metric.key: metric.value for metric in self.metrics}
        plain = {"tags": dict(self.tags), "params": dict(self.params), "status": str(self.status), "metrics": metrics}
        return {**_fields_of(self), **plain}

    to_dict = to_dictionary

    def __eq__(self, other: object) -> bool:
        return _fields_of(self) == _fields_of(other) if isinstance(other, LoggedModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.model_id)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, but models are handed to worker processes.
        return _rebuild, ({**_fields_of(self), "tags": dict(self.tags), "params": dict(self.params)},)


class ActiveModel(LoggedModel):
    """The LoggedModel that a call has made active.

    Used as a context manager, it is active only inside the `with` block.

    When it is pickled or copied it becomes a plain `LoggedModel`, as what is active belongs to a process.
    """

    _scope: AbstractContextManager[object]

    @classmethod
    def of(cls, model: LoggedModel, scope: AbstractContextManager[object]) -> "ActiveModel":
        """The same snapshot, with what happens when it is entered and left as a context manager."""
        active = cls(**_fields_of(model))
        object.__setattr__(active, "_scope", scope)
        return active

    def __enter__(self) -> "ActiveModel":
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, traceback)


def _fields_of(model: LoggedModel) -> dict[str, Any]:
    return {field.name: getattr(model, field.name) for field in dataclasses.fields(LoggedModel)}


def _rebuild(fields: dict[str, Any]) -> LoggedModel:
    return LoggedModel(**fields)


@dataclasses.dataclass(frozen=True)
class ModelEvent:
    """Something that happened to a model. On the wire it is a span (see `records`).

    Attributes:
        kind: `created`, `updated`, `activated` or `deleted`.
        model_id: The model it happened to.
        time_ns: When, in nanoseconds since the epoch.
        span_id: The id of its span, so that it is one span however often it is sent. None for `created`, as that id
            follows from the model's id.
        params: For `created` all of them, for `updated` only those that were added.
        tags: For `created` all of them, for `updated` only those that were set.
        tags_deleted: Keys that an `updated` took away.
    """

    kind: EventKind
    model_id: str
    time_ns: int
    span_id: int | None = None
    name: str | None = None
    experiment_id: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    status: LoggedModelStatus | None = None
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags_deleted: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes its texts take."""
        texts = (*self.params.items(), *self.tags.items())
        return sum(len(key) + len(value) for key, value in texts) + sum(map(len, self.tags_deleted))


def check_status(status: object) -> LoggedModelStatus:
    """The status, given as such or as its text.

    Raises:
        ValueError: There is no such status.
    """
    try:
        return LoggedModelStatus(status)
    except ValueError:
        choices = ", ".join(LoggedModelStatus)
        raise ValueError(f"status is {status!r}: pass one of {choices}") from None
