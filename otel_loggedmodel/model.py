# SPDX-License-Identifier: Apache-2.0
"""LoggedModel, one version of an application, and the checks on what a caller may put into it."""

import dataclasses
import enum
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal

from otel_loggedmodel.identity import has_id_shape

MAX_NAME_CHARACTERS: Final = 256  # names and ids go onto every entry span
MAX_KEY_CHARACTERS: Final = 256
# OTLP receivers over gRPC refuse messages of more than 4 MiB unless told otherwise, and records travel several to a
# message: a quarter of that leaves room, and is far more than a configuration needs.
MAX_MODEL_BYTES: Final = 1024 * 1024

EventKind = Literal["created", "updated", "activated", "deleted"]


class LoggedModelStatus(str, enum.Enum):
    """The state of a LoggedModel; equal to its text, as in `model.status == "READY"`."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value


@dataclasses.dataclass(frozen=True, eq=False)
class LoggedModel:
    """One version of an application: an immutable snapshot of what this process knows of it.

    Attributes:
        model_id: The id that is stamped on spans.
        name: What the versions of one application have in common, or None where this process does not know it.
        experiment_id: The experiment it belongs to.
        creation_timestamp: Milliseconds since the epoch; 0 where it was made elsewhere and this process cannot know.
        last_updated_timestamp: Milliseconds since the epoch; 0 likewise.
        model_type: A category of the user's, such as `"agent"`.
        source_run_id: The run that made it.
        status: A `LoggedModelStatus`.
        tags: Read-only; may change between snapshots.
        params: Read-only; write-once.
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

    def __eq__(self, other: object) -> bool:
        return _fields_of(self) == _fields_of(other) if isinstance(other, LoggedModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.model_id)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and models are handed to worker processes.
        return _rebuild, ({**_fields_of(self), "tags": dict(self.tags), "params": dict(self.params)},)


class ActiveModel(LoggedModel):
    """The LoggedModel that a call has made the active one; as a context manager, active only inside the `with` block.

    Pickled and copied, it becomes a plain `LoggedModel`: what is active belongs to a process.
    """

    _scope: AbstractContextManager[object]

    @classmethod
    def of(cls, model: LoggedModel, scope: AbstractContextManager[object]) -> "ActiveModel":
        """The same snapshot, with what entering and leaving it as a context manager does."""
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
    """Something that happened to a model; on the wire a span (see `records`).

    Attributes:
        kind: `created`, `updated`, `activated` or `deleted`.
        model_id: The model it happened to.
        time_ns: When, in nanoseconds since the epoch.
        span_id: The id of its span, so that however often it is sent it is one span; None for `created`, whose span
            id follows from the model's id.
        params: For `created` all of them; for `updated` only what was added.
        tags: For `created` all of them; for `updated` only what was set.
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


def check_name(name: object, what: str = "name") -> str:
    """The name, if it can be one.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty, too long, surrounded by white space, or has control characters.
    """
    if isinstance(name, LoggedModel):
        raise TypeError(f"{what} is a LoggedModel: pass its id, model_id={name.model_id!r}")
    if not isinstance(name, str):
        raise TypeError(f"{what} is {_shown(name)}: pass a string such as 'my-agent-v1.0'")
    if not name or name.isspace():
        raise ValueError(f"{what} is empty: pass a string such as 'my-agent-v1.0'")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(
            f"{what} has {len(name)} characters, the limit is {MAX_NAME_CHARACTERS}: "
            "shorten it, and put the rest into tags"
        )
    if name != name.strip():
        raise ValueError(f"{what} {name!r} begins or ends with white space: pass {name.strip()!r}")
    # Control characters, lone surrogates and line separators; not "format" characters, which emoji are joined with.
    bad = next((character for character in name if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        raise ValueError(f"{what} {name!r} contains the control character {bad!r}: leave it out")
    return name


def check_model_name(name: object) -> str:
    """The name of a model, if it can be one.

    Raises:
        TypeError: It is not a string.
        ValueError: It cannot be a name, or is an id.
    """
    checked = check_name(name)
    if has_id_shape(checked):
        raise ValueError(f"name {checked!r} is an id: pass model_id={checked!r}")
    return checked


def check_texts(values: object, what: str) -> dict[str, str]:
    """A plain copy of params or tags, if they are what the wire can carry: a mapping of strings to strings.

    Raises:
        TypeError: It is not a mapping, or a key or a value is not a string; the message names the key and the fix.
        ValueError: A key is empty or too long, a text is not valid Unicode, or all together are too large.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(f"{what} is {_shown(values)}: pass a dict of strings to strings")
    size = 0
    for key, value in values.items():
        if not isinstance(key, str):
            raise TypeError(f"{what} has a key that is {_shown(key)}: pass {str(key)!r}")
        if not key or len(key) > MAX_KEY_CHARACTERS:
            raise ValueError(f"{what} has a key of {len(key)} characters: keys have 1 to {MAX_KEY_CHARACTERS}")
        if not isinstance(value, str):
            raise TypeError(f'{what}: "{key}" is {_shown(value)}: {_fix_for(value)}')
        try:
            size += len(key.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise ValueError(
                f"{what}: {key!r} holds a lone surrogate, which UTF-8 cannot carry: "
                "decode the text with errors='replace' where it comes from"
            ) from None
    if size > MAX_MODEL_BYTES:
        raise too_large(what, size)
    return dict(values)


def too_large(what: str, size: int) -> ValueError:
    """The error for params and tags that are more than a message can carry."""
    return ValueError(
        f"{what} take {size:,} bytes, the limit is {MAX_MODEL_BYTES:,}: "
        "keep large values in a file or object store, and pass their address or digest"
    )


def check_status(status: object) -> LoggedModelStatus:
    """The status, from itself or its text.

    Raises:
        ValueError: It is none of them.
    """
    try:
        return LoggedModelStatus(status)
    except ValueError:
        choices = ", ".join(LoggedModelStatus)
        raise ValueError(f"status is {status!r}: pass one of {choices}") from None


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def _fix_for(value: object) -> str:
    if value is None:
        return "leave the key out, or pass a string"
    if isinstance(value, bool | int | float):
        return f'pass "{value}"'
    return "pass a string, json.dumps(...) of it for instance"
