# SPDX-License-Identifier: Apache-2.0
"""Extending a logger provider: its records are stamped, and what its exporters cannot deliver is kept.

As with tracer providers (`_providers`), what is private in the SDK is used in this module only, and only the SDK's own
classes and their subclasses are reached into. Our processor goes in front of all others, as some of those export a
record at once.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry import _logs as api
from opentelemetry._logs import _internal

from otel_loggedmodel._errors import swallow

_ADD: Final = "add_log_record_processor"
# Every call of `set_logger_provider` ends up in this, even if the caller imported that function before.
_SETTER: Final = "_set_logger_provider"
_original_setter: Any = None


def extend(provider: object = None) -> bool:
    """Have a logger provider stamp its records, and keep what its exporters cannot deliver.

    Args:
        provider: Which; the global one by default, now or when it is set.

    Returns:
        Whether its records are stamped now.
    """
    try:
        if provider is None:
            provider = api.get_logger_provider()
            if isinstance(provider, _internal.ProxyLoggerProvider):
                _extend_when_set()
                return False
        return _extended(provider)
    except Exception:
        swallow("extending a logger provider")
        return False


def restore(provider: object = None) -> None:
    """Take out of a logger provider what `extend` put in."""
    from otel_loggedmodel.log_processor import LoggedModelLogRecordProcessor

    try:
        _forget_to_extend()
        given = api.get_logger_provider() if provider is None else provider
        multi = _multi_of(given)
        if multi is None:
            return
        vars(_sdk_provider_of(given)).pop(_ADD, None)
        multi._log_record_processors = tuple(
            one for one in multi._log_record_processors if not isinstance(one, LoggedModelLogRecordProcessor)
        )
        for processor in _flat(multi):
            _unwrap(processor)
    except Exception:
        swallow("restoring a logger provider")


def is_stamping(provider: object = None) -> bool:
    """Whether a logger provider stamps its records; the global one by default."""
    from otel_loggedmodel.log_processor import LoggedModelLogRecordProcessor

    multi = _multi_of(api.get_logger_provider() if provider is None else provider)
    return multi is not None and any(isinstance(one, LoggedModelLogRecordProcessor) for one in _flat(multi))


def _extended(provider: Any) -> bool:
    from otel_loggedmodel.log_processor import LoggedModelLogRecordProcessor

    multi = _multi_of(provider)
    if multi is None:
        return False  # it is not the SDK's, or not known here
    for processor in _flat(multi):
        _wrap(processor)
    if not is_stamping(provider):
        with multi._lock:
            multi._log_record_processors = (LoggedModelLogRecordProcessor(), *multi._log_record_processors)
    _watch(_sdk_provider_of(provider))
    return True


def _watch(provider: Any) -> None:
    """Wrap the exporters of processors that are added later."""
    if _ADD in vars(provider):
        return
    add = getattr(provider, _ADD)

    def wrap_and_add(*arguments: Any, **options: Any) -> Any:
        try:
            for processor in (*arguments, *options.values()):
                _wrap(processor)
        except Exception:
            swallow("looking at a log record processor that is added")
        return add(*arguments, **options)

    with contextlib.suppress(AttributeError, TypeError):
        setattr(provider, _ADD, wrap_and_add)


def _sdk_provider_of(provider: object) -> Any:
    """The SDK's provider that a provider is or stands for, as logfire's proxy does; None where there is none."""
    from opentelemetry.sdk import _logs as sdk

    if isinstance(provider, sdk.LoggerProvider):
        return provider
    held = [value for value in getattr(provider, "__dict__", {}).values() if isinstance(value, sdk.LoggerProvider)]
    return held[0] if len(held) == 1 else None


def _multi_of(provider: object) -> Any:
    """What holds the processors of the SDK's logger provider; None for any other provider."""
    sdk_provider = _sdk_provider_of(provider)
    multi = None if sdk_provider is None else vars(sdk_provider).get("_multi_log_record_processor")
    return multi if _is_multi(multi) else None


def _is_multi(processor: object) -> bool:
    from opentelemetry.sdk._logs import _internal as sdk

    return isinstance(processor, sdk.SynchronousMultiLogRecordProcessor | sdk.ConcurrentMultiLogRecordProcessor)


def _flat(multi: Any) -> Iterator[Any]:
    for processor in multi._log_record_processors:
        if _is_multi(processor):
            yield from _flat(processor)
        else:
            yield processor


# Exporters


def _place_of_exporter(processor: object) -> tuple[Any, str]:
    """The object and its attribute that hold the exporter of a processor that exports on a thread of its own."""
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    if isinstance(processor, BatchLogRecordProcessor):
        # Releases before 1.34 keep it in the processor itself.
        return vars(processor).get("_batch_processor", processor), "_exporter"
    # A `SimpleLogRecordProcessor` exports on the application's thread, while `logging` holds the lock of its handler.
    # A `DurableExporter` logs on threads of its own, which would wait for that lock.
    return None, ""


def _wrap(processor: object) -> None:
    from otel_loggedmodel.delivery.log_types import LogRecordExporter
    from otel_loggedmodel.log_exporter import LoggedModelLogRecordExporter

    if _is_multi(processor):
        for one in _flat(processor):
            _wrap(one)
        return
    holder, name = _place_of_exporter(processor)
    exporter = getattr(holder, name, None) if name else None
    if isinstance(exporter, LogRecordExporter) and not isinstance(exporter, LoggedModelLogRecordExporter):
        with contextlib.suppress(AttributeError, TypeError):
            setattr(holder, name, LoggedModelLogRecordExporter(exporter))


def _unwrap(processor: object) -> None:
    from otel_loggedmodel.log_exporter import LoggedModelLogRecordExporter

    holder, name = _place_of_exporter(processor)
    exporter = getattr(holder, name, None) if name else None
    if isinstance(exporter, LoggedModelLogRecordExporter):
        setattr(holder, name, exporter.unwrap())


# A provider that is set later


def _extend_when_set() -> None:
    global _original_setter  # noqa: PLW0603 - the API's function that is replaced is one per process, too
    if _original_setter is not None:
        return
    _original_setter = getattr(_internal, _SETTER)

    def set_and_extend(logger_provider: Any, *arguments: Any, **options: Any) -> None:
        original: Callable[..., None] | None = _original_setter
        _forget_to_extend()
        (original or getattr(_internal, _SETTER))(logger_provider, *arguments, **options)
        extend(logger_provider)

    setattr(_internal, _SETTER, set_and_extend)


def _forget_to_extend() -> None:
    global _original_setter  # noqa: PLW0603 - as above
    if _original_setter is not None:
        setattr(_internal, _SETTER, _original_setter)
        _original_setter = None
