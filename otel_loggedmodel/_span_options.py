# SPDX-License-Identifier: Apache-2.0
"""What `trace` and `start_span` take beside a name and attributes: links, a level and a description."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.trace import SpanContext, TraceFlags

from otel_loggedmodel._checking import id_of

# Where MLflow's server looks for them, also on spans that come over OTLP.
LOG_LEVEL: Final = "mlflow.spanLogLevel"
DESCRIPTION: Final = "mlflow.spanDescription"


class SpanLogLevel(enum.IntEnum):
    """How much a span matters to who reads traces, as in `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50

    @classmethod
    def from_value(cls, value: Any) -> "SpanLogLevel":
        """A level, by itself or its name.

        Raises:
            ValueError: It is neither.
        """
        found = value if isinstance(value, cls) else cls.__members__.get(str(value).strip().upper())
        if found is None:
            raise ValueError(f"log_level is {value!r}: pass one of {', '.join(cls.__members__)}")
        return found


@dataclasses.dataclass
class Link:
    """A span that another one has to do with, mostly of another trace.

    Args:
        trace_id: Its trace, 32 hex digits, also with MLflow's `tr-` before them.
        span_id: The span, 16 hex digits.
        attributes: What the two have to do with each other.
    """

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""
        return {"trace_id": self.trace_id, "span_id": self.span_id, "attributes": self.attributes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Link":
        """A link from its fields."""
        return cls(data["trace_id"], data["span_id"], data.get("attributes"))


def links_of(links: Iterable[Any] | None) -> list[trace_api.Link]:
    """Links of OpenTelemetry's, from such or from `Link`.

    Raises:
        TypeError: One is neither.
        ValueError: An id is not valid.
    """
    return [one if isinstance(one, trace_api.Link) else _link(one) for one in links or ()]


def _link(link: Any) -> trace_api.Link:
    if not hasattr(link, "trace_id") or not hasattr(link, "span_id"):
        raise TypeError(f"a link is {type(link).__name__}: pass Link(trace_id, span_id), or one of OpenTelemetry's")
    trace_id, span_id = id_of(link.trace_id, 32, "trace_id"), id_of(link.span_id, 16, "span_id")
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace_api.Link(context, link.attributes or None)


def said_of_span(log_level: Any, description: str | None) -> dict[str, Any]:
    """A level and a description, as attributes.

    Raises:
        ValueError: There is no such level.
    """
    said: dict[str, Any] = {} if log_level is None else {LOG_LEVEL: int(SpanLogLevel.from_value(log_level))}
    return said if description is None else {**said, DESCRIPTION: str(description)}


def check_place(trace_destination: Any, sampling_ratio_override: Any = None) -> None:
    """Refuse what the tracer provider decides, and no call.

    Raises:
        ValueError: One of them is given.
    """
    if trace_destination is not None:
        raise ValueError("trace_destination is not here: the exporter of the tracer provider says where spans go")
    if sampling_ratio_override is not None:
        raise ValueError("sampling_ratio_override is not here: the sampler of the tracer provider chooses traces")
