# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities.span` and beside it: kinds of spans, statuses, events, documents."""

import dataclasses
import importlib
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel.genai.live_span import LiveSpan
from otel_loggedmodel.genai.statuses import SpanStatus, SpanStatusCode
from otel_loggedmodel.genai.traces import TraceSpan as Span


class SpanType:
    """Kinds of spans, for `trace(span_type=...)` and `start_span(span_type=...)`. Any other text will do as well."""

    AGENT: Final = "AGENT"
    CHAIN: Final = "CHAIN"
    CHAT_MODEL: Final = "CHAT_MODEL"
    EMBEDDING: Final = "EMBEDDING"
    EVALUATOR: Final = "EVALUATOR"
    GUARDRAIL: Final = "GUARDRAIL"
    LLM: Final = "LLM"
    MEMORY: Final = "MEMORY"
    PARSER: Final = "PARSER"
    RERANKER: Final = "RERANKER"
    RETRIEVER: Final = "RETRIEVER"
    TASK: Final = "TASK"
    TOOL: Final = "TOOL"
    UNKNOWN: Final = "UNKNOWN"
    WORKFLOW: Final = "WORKFLOW"


@dataclasses.dataclass(frozen=True)
class SpanEvent:
    """Something that happened in a span, for `LiveSpan.add_event`.

    Args:
        name: What happened.
        timestamp: When, in microseconds since the epoch.
        attributes: What is said of it.
    """

    name: str
    timestamp: int = dataclasses.field(default_factory=lambda: time.time_ns() // 1000)
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_exception(cls, exception: BaseException) -> "SpanEvent":
        """The event that says an exception, as OpenTelemetry's conventions have it."""
        said = {
            "exception.type": type(exception).__name__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
        }
        return cls("exception", attributes=said)


@dataclasses.dataclass
class Document:
    """What a retriever found, for the outputs of a span whose type is `RETRIEVER`.

    Args:
        page_content: Its text.
        metadata: Where it is from, and anything else.
        id: Its id.
    """

    page_content: str
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""
        return dataclasses.asdict(self)


__all__ = ["Document", "LiveSpan", "Span", "SpanEvent", "SpanStatus", "SpanStatusCode", "SpanType"]


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
