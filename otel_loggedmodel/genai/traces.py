# SPDX-License-Identifier: Apache-2.0
"""A trace as scorers see it: spans, times, tokens. It was captured in this process or read from a store."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.attributes import (
    EVALUATION_EXPECTED,
    EVALUATION_RUN,
    EVALUATION_TAG_PREFIX,
    ID,
    TRACE_TAG,
)
from otel_loggedmodel.conventions import messages
from otel_loggedmodel.conventions.reading import count_of, kind_name_of, name_of
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.genai.assessed import assessment_of, parsed
from otel_loggedmodel.genai.assessments import (
    AssessmentSource,
    AssessmentSourceType,
    Expectation,
    Feedback,
    feedback_values,
)
from otel_loggedmodel.genai.statuses import SpanStatus
from otel_loggedmodel.genai.texts import text_of_any

# What is said of a whole trace, on its first span or in records in it. MLflow's server takes the first for tags.
TAG_PREFIX: Final = "mlflow.traceTag."
METADATA_PREFIX: Final = "logged_model.trace.metadata."
SESSION: Final = "session.id"
USER: Final = "user.id"
# As MLflow cuts them.
_PREVIEW_CHARACTERS: Final = 1000
# What a row expects that says only one value; built-in scorers read it.
_EXPECTED_RESPONSE: Final = "expected_response"
_OF_ROWS: Final = AssessmentSource(AssessmentSourceType.HUMAN)


class TraceSpan:
    """One span.

    Attributes:
        name: Its name.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: The id of its parent, or None.
        start_time_ns: When it began.
        end_time_ns: When it ended.
        attributes: What it says. If the span comes from a store, numbers may be texts.
        status: `OK`, `ERROR` or `UNSET`.
        events: Its events, each with a `name` and `attributes`.
    """

    __slots__ = (
        *("attributes", "end_time_ns", "events", "name", "parent_id", "span_id", "start_time_ns", "status"),
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        trace_id: str,
        span_id: str,
        parent_id: str | None,
        start_time_ns: int,
        end_time_ns: int,
        attributes: Mapping[str, Any],
        status: str,
        events: Sequence[messages.Event] = (),
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.start_time_ns = start_time_ns
        self.end_time_ns = end_time_ns
        self.attributes = attributes
        self.status = SpanStatus(status)
        self.events = events

    @property
    def span_type(self) -> str | None:
        """What kind of work it is, such as `LLM`, `TOOL` or `RETRIEVER`, where the span says so."""
        return kind_name_of(self.attributes)

    @property
    def inputs(self) -> Any:
        """What went in: a value, parsed where it is JSON, else messages as dicts with `role` and `content`; or None."""
        return messages.inputs_of(self.attributes, self.events)

    @property
    def outputs(self) -> Any:
        """What came out: a value, parsed where it is JSON, else the text of the answer, else messages; or None."""
        return messages.outputs_of(self.attributes, self.events)

    @property
    def messages(self) -> list[messages.Message]:
        """What an application and a model said to each other, in whichever convention the span has it."""
        return messages.messages_of(self.attributes, self.events)

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return max(0, self.end_time_ns - self.start_time_ns) / 1e6

    def get_attribute(self, key: str) -> Any:
        """One attribute, or None."""
        return self.attributes.get(key)

    def to_dict(self) -> dict[str, Any]:
        """The span as values that JSON has, under MLflow's names."""
        kept = ("name", "trace_id", "span_id", "parent_id", "start_time_ns", "end_time_ns", "status")
        return {**{key: getattr(self, key) for key in kept}, "attributes": dict(self.attributes)}

    def __repr__(self) -> str:
        return f"TraceSpan(name={self.name!r}, span_id={self.span_id!r})"


class Trace:
    """The spans of one call, by their start.

    The names that MLflow's scorers use work, too: `info.trace_id`, `info.execution_duration` (ms), `data.spans`.

    Args:
        spans: The spans of one trace.
        judged: Id of the span that is judged. The default is the one whose parent is not here.
        results: What was said of it: spans of results and records of its tags.
    """

    def __init__(
        self, spans: Sequence[TraceSpan], judged: str | None = None, results: Sequence[TraceSpan] = ()
    ) -> None:
        self.spans = sorted(spans, key=lambda span: span.start_time_ns)
        self._judged = judged
        self._results = sorted(results, key=lambda span: span.start_time_ns)

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.spans[0].trace_id if self.spans else ""

    @functools.cached_property
    def root(self) -> TraceSpan | None:
        """The span that is judged: the one that was asked for, else the first one whose parent is not in the trace."""
        known = {span.span_id for span in self.spans}
        wanted = [span for span in self.spans if span.span_id == self._judged]
        return next(iter(wanted or [span for span in self.spans if span.parent_id not in known]), None)

    @property
    def info(self) -> "Trace":
        """What MLflow keeps under `trace.info`."""
        return self

    @property
    def data(self) -> "Trace":
        """What MLflow keeps under `trace.data`."""
        return self

    @property
    def execution_duration(self) -> float:
        """Milliseconds that the judged span took."""
        return 0.0 if self.root is None else self.root.duration_ms

    execution_time_ms = execution_duration

    @property
    def state(self) -> str:
        """`OK` or `ERROR`."""
        return "ERROR" if self.root is not None and self.root.status == "ERROR" else "OK"

    @property
    def status(self) -> str:
        """The same, under the name that it had in MLflow 2."""
        return self.state

    @property
    def inputs(self) -> Any:
        """What went into the judged span."""
        return None if self.root is None else self.root.inputs

    @property
    def outputs(self) -> Any:
        """What came out of the judged span."""
        return None if self.root is None else self.root.outputs

    def search_spans(
        self, span_type: str | None = None, name: str | re.Pattern[str] | None = None, span_id: str | None = None
    ) -> list[TraceSpan]:
        """The spans of a type, a name and an id, each if given; a name may be a compiled regular expression."""
        return [
            span
            for span in self.spans
            if (name is None or (span.name == name if isinstance(name, str) else name.search(span.name) is not None))
            and (span_id is None or span.span_id == span_id)
            and (span_type is None or span.span_type == span_type.upper())
        ]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the trace, each with its newest value; a tag whose newest value is empty was taken away.

        The tags of the row of a data set that it is of are among them.
        """
        found = self._under(EVALUATION_TAG_PREFIX) | self._under(TAG_PREFIX)
        return {key: text for key, text in found.items() if text}

    @property
    def trace_metadata(self) -> dict[str, str]:
        """What is said of the trace besides, as MLflow has it: also its session, its user and its version."""
        found = self._under(METADATA_PREFIX)
        root = {} if self.root is None else self.root.attributes
        user = next((str(span.attributes[USER]) for span in self.spans if span.attributes.get(USER)), "")
        for name, text in (("session", self.session_id), ("user", user)):
            found.update({f"mlflow.trace.{name}": text} if text else {})
        run = root.get(EVALUATION_RUN)
        return found | ({"mlflow.sourceRun": str(run)} if run else {}) | self._version()

    @functools.cached_property
    def session_id(self) -> str | None:
        """The session, or conversation, that it is a turn of, in whichever convention its spans say it."""
        said = (name_of(span.attributes, Thing.CONVERSATION) for span in self.spans)
        return next(filter(None, said), None)

    @property
    def model_id(self) -> str | None:
        """The version of the judged span, if it says one."""
        return self._version().get("mlflow.modelId")

    @property
    def request_id(self) -> str:
        """The same as `trace_id`, under the name that it had in MLflow 2."""
        return self.trace_id

    @property
    def request_metadata(self) -> dict[str, str]:
        """The same as `trace_metadata`, under the name that it had in MLflow 2."""
        return self.trace_metadata

    @property
    def client_request_id(self) -> str | None:
        """What the caller calls the request, if `update_current_trace` said so."""
        return self.trace_metadata.get("client_request_id")

    @property
    def request_preview(self) -> str | None:
        """What went in, in short."""
        return self._preview("request_preview", self.inputs)

    @property
    def response_preview(self) -> str | None:
        """What came out, in short."""
        return self._preview("response_preview", self.outputs)

    @property
    def token_usage(self) -> dict[str, int] | None:
        """Tokens as MLflow has them; None if no call of a model says any."""
        spent, made = self.tokens
        return {"input_tokens": spent, "output_tokens": made, "total_tokens": spent + made} if spent or made else None

    def _preview(self, key: str, value: Any) -> str | None:
        text = self.trace_metadata.get(key) or (None if value is None else text_of_any(value))
        return None if text is None else text[:_PREVIEW_CHARACTERS]

    def _version(self) -> dict[str, str]:
        found = None if self.root is None else self.root.attributes.get(ID)
        return {"mlflow.modelId": str(found)} if found else {}

    def _under(self, prefix: str) -> dict[str, str]:
        return {
            key[len(prefix) :]: str(value)
            for span in (*self.spans, *self._results)
            for key, value in span.attributes.items()
            if key.startswith(prefix)
        }

    @property
    def assessments(self) -> list[Feedback]:
        """What was said of the trace, oldest first; of each assessment what was said last."""
        found: dict[str, Feedback] = {said.name: said for said in self._expected()}
        for span in self._results:
            if span.name != TRACE_TAG and (said := assessment_of(span.attributes, span)) is not None:
                found.pop(said.assessment_id or span.span_id, None)
                found[said.assessment_id or span.span_id] = said
        return [said for said in found.values() if said.value is not None or said.error is not None]

    def _expected(self) -> list[Expectation]:
        """What the row of a data set expects, of which this is the trace."""
        text = None if self.root is None else self.root.attributes.get(EVALUATION_EXPECTED)
        if self.root is None or not text:
            return []
        said = parsed(str(text))
        return [
            Expectation(
                name=str(name),
                value=value,
                source=_OF_ROWS,
                trace_id=self.trace_id,
                span_id=self.root.span_id,
                create_time_ms=self.request_time,
                assessment_id=f"{self.root.span_id}-{name}",
            )
            for name, value in (said.items() if isinstance(said, dict) else ((_EXPECTED_RESPONSE, said),))
        ]

    @property
    def expectations(self) -> dict[str, Any]:
        """What should have come out, as the row of the data set has it and `log_expectation` said."""
        return {said.name: said.value for said in self.assessments if isinstance(said, Expectation)}

    def search_assessments(
        self,
        name: str | None = None,
        *,
        span_id: str | None = None,
        all: bool = False,
        type: str | None = None,
    ) -> list[Feedback]:
        """What was said of the trace.

        Args:
            name: Under this name.
            span_id: Of this span.
            all: Taken for MLflow's sake: what was overridden is not kept.
            type: `"feedback"` or `"expectation"`.
        """
        return [
            said
            for said in self.assessments
            if name in (None, said.name)
            and span_id in (None, said.span_id)
            and type in (None, "expectation" if isinstance(said, Expectation) else "feedback")
        ]

    @property
    def request_time(self) -> int:
        """When the judged span began, in milliseconds since the epoch."""
        return 0 if self.root is None else self.root.start_time_ns // 1_000_000

    timestamp_ms = request_time

    @property
    def request(self) -> Any:
        """The same as `inputs`."""
        return self.inputs

    @property
    def response(self) -> Any:
        """The same as `outputs`."""
        return self.outputs

    def to_dict(self) -> dict[str, Any]:
        """The trace as values that JSON has: `info` and `data`, as MLflow has them."""
        spans = [span.to_dict() for span in self.spans]
        info = {
            "trace_id": self.trace_id,
            "state": self.state,
            "request_time": self.request_time,
            "execution_duration": self.execution_duration,
            "tags": self.tags,
            "trace_metadata": self.trace_metadata,
            "assessments": [feedback_values(said) for said in self.assessments],
        }
        return {"info": info, "data": {"spans": spans}}

    def to_json(self, pretty: bool = False) -> str:
        """The same as JSON; `pretty` has it on several lines."""
        return json.dumps(self.to_dict(), ensure_ascii=False, default=text_of_any, indent=2 if pretty else None)

    @functools.cached_property
    def tokens(self) -> tuple[int, int]:
        """Tokens in and out. If a span sums up those below it, the larger number counts."""
        below: dict[str | None, list[TraceSpan]] = {}
        for span in self.spans:
            below.setdefault(span.parent_id, []).append(span)
        known = {span.span_id for span in self.spans}
        tops = [span for span in self.spans if span.parent_id not in known]
        totals = [_tokens_of(span, below, 0) for span in tops]
        return sum(total[0] for total in totals), sum(total[1] for total in totals)


def _tokens_of(span: TraceSpan, below: Mapping[str | None, list[TraceSpan]], depth: int) -> tuple[int, int]:
    children = [_tokens_of(child, below, depth + 1) for child in below.get(span.span_id, ())] if depth < 200 else []
    own = (
        count_of(span.attributes, Thing.INPUT_TOKENS) or 0,
        count_of(span.attributes, Thing.OUTPUT_TOKENS) or 0,
    )
    return max(own[0], sum(child[0] for child in children)), max(own[1], sum(child[1] for child in children))
