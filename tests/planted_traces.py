# SPDX-License-Identifier: Apache-2.0
"""The spans of the synthetic data set, as applications send them, and what they come to, noted as they are made."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_loggedmodel import attributes as names
from otel_loggedmodel.versions.active import version_of
from planted_versions import HOSTILE, Draw

API: Final = "assistant-api"
WORKER: Final = "assistant-worker"
ENVIRONMENT: Final = "deployment.environment.name"
TENANT: Final = "tenant"
EVALUATION: Final = "gen_ai.evaluation.result"

Value = str | bool | int | float
INTERNAL, SERVER, CLIENT = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
LOCAL_PARENT, REMOTE_PARENT = 0x100, 0x300
_MINUTE: Final = 60 * 10**9
_UNPRICED_MODEL: Final = "acme-chat-1"  # so that the cost is what spans say, or not known


# Facts


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry span.

    Attributes:
        model_id: The version that it counts for, resolved.
        attributes: Its own, before its resource's.
    """

    model_id: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    error: bool
    service: str
    attributes: Mapping[str, str]

    def is_within(self, other: "Entry") -> bool:
        """Whether it counts with another entry span of the same version and trace."""
        return (
            other.start_ns <= self.start_ns
            and self.end_ns <= other.end_ns
            and other.parent_id != self.parent_id
            and other.span_id != self.span_id
        )


@dataclass(frozen=True)
class Call:
    """A call of a language model: what it took, gave and cost; or several, summed up."""

    input: int
    output: int
    cost: float | None

    @classmethod
    def total(cls, calls: Sequence["Call"]) -> "Call":
        known = [call.cost for call in calls if call.cost is not None]
        return cls(sum(call.input for call in calls), sum(call.output for call in calls), sum(known) if known else None)


@dataclass(frozen=True)
class Work:
    """That a trace has a call of a version's."""

    trace_id: str
    model_id: str
    call: Call


@dataclass(frozen=True)
class Result:
    """That a trace has an evaluation of a version's work.

    Attributes:
        kind: Source, scorer and data set; empty where it does not say.
        row: Key of the row of the data set; empty where there is none.
    """

    trace_id: str
    model_id: str
    name: str
    value: float
    kind: tuple[str, str, str] = ("", "", "")
    row: str = ""


@dataclass(frozen=True, order=True)
class Resource:
    """Who sends a span."""

    service: str
    environment: str

    @property
    def attributes(self) -> Mapping[str, str]:
        return {
            "service.name": self.service,
            ENVIRONMENT: self.environment,
            "telemetry.sdk.language": "python",
            "host.name": f"{self.service}-1",
        }


@dataclass
class Recorder:
    """Spans as they are made, and the facts about them."""

    spans: list[tuple[Resource, Span]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


# Spans


@dataclass(frozen=True)
class Stamp:
    """What a process writes onto spans, and the version that it means."""

    written_id: str
    name: str | None
    model_id: str


class Trace:
    """A trace that is being made.

    Args:
        recorder: What its spans and facts are noted in.
        rng: For ids and times.
        start_ns: When it begins.
        resource: Whose trace it is.
    """

    def __init__(self, recorder: Recorder, rng: random.Random, start_ns: int, resource: Resource) -> None:
        self.recorder = recorder
        self.rng = rng
        self.start_ns = start_ns
        self.resource = resource
        self.trace_id = rng.randbytes(16)

    def one_of(self, ways: int) -> int:
        """One way of several, at random."""
        return self.rng.randrange(ways)

    def span(
        self,
        name: str,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, Value] | None = None,
        *,
        stamp: Stamp | None = None,
        kind: int = INTERNAL,
        resource: Resource | None = None,
        error: bool = False,
        flags: int = LOCAL_PARENT,
    ) -> Span:
        span = Span(
            trace_id=self.trace_id,
            span_id=self.rng.randbytes(8),
            parent_span_id=parent,
            name=name,
            kind=kind,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=end_ns,
            flags=flags,
        )
        if stamp is not None:
            write_attributes(span.attributes, {names.ID: stamp.written_id})
        write_attributes(span.attributes, attributes or {})
        if error:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = f"failed: {HOSTILE}"
        self.recorder.spans.append((resource or self.resource, span))
        return span

    def entry(
        self,
        stamp: Stamp,
        start_ns: int,
        duration_ns: int,
        *,
        parent: bytes = b"",
        error: bool = False,
        resource: Resource | None = None,
        attributes: Mapping[str, Value] | None = None,
        flags: int = LOCAL_PARENT,
        named: bool = True,
        linked: bool = True,
    ) -> Span:
        """An entry span, as the library stamps it; without a name or link as a Collector does it for other SDKs."""
        resource = resource or self.resource
        own: dict[str, Value] = {
            TENANT: ("acme", "globex")[self.one_of(2)],
            "http.route": "/answer",
            **(attributes or {}),
        }
        if self.one_of(25) == 0:
            own[ENVIRONMENT] = "staging"
        kind = SERVER if flags == REMOTE_PARENT or self.one_of(2) else INTERNAL
        span = self.span(
            "POST /answer" if kind == SERVER else HOSTILE if self.one_of(20) == 0 else "answer",
            parent,
            start_ns,
            start_ns + duration_ns,
            {names.NAME: stamp.name, **own} if named and stamp.name is not None else own,
            stamp=stamp,
            kind=kind,
            resource=resource,
            error=error,
            flags=flags,
        )
        if linked:
            version = version_of(stamp.written_id, stamp.name)
            link = span.links.add(
                trace_id=version.model_span.trace_id.to_bytes(16, "big"),
                span_id=version.model_span.span_id.to_bytes(8, "big"),
                flags=REMOTE_PARENT,
            )
            write_attributes(link.attributes, version.link_attributes)
        self.recorder.entries.append(
            Entry(
                model_id=stamp.model_id,
                trace_id=self.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=parent.hex(),
                start_ns=start_ns,
                end_ns=start_ns + duration_ns,
                error=error,
                service=resource.service,
                attributes={**resource.attributes, **{key: str(value) for key, value in own.items()}},
            )
        )
        return span

    def stands_for_entry(self, stamp: Stamp, span: Span) -> None:
        """Note that a span counts as the entry span of this trace, which has none."""
        self.recorder.entries.append(
            Entry(
                model_id=stamp.model_id,
                trace_id=self.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                start_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                error=False,
                service=self.resource.service,
                attributes=self.resource.attributes,
            )
        )

    def model_call(
        self,
        stamp: Stamp | None,
        parent: Span,
        call: Call,
        *,
        counts: bool = True,
        late: int = 0,
        says_cost: bool = True,
    ) -> Span:
        """The span of a call within its parent's time.

        Args:
            stamp: Of the version that makes it.
            parent: What makes it.
            call: What it takes.
            counts: Whether it is to be noted.
            late: How much later than its parent it begins, in ns; may be negative, as clocks differ.
            says_cost: Whether the span says what it cost.
        """
        fraction = (parent.end_time_unix_nano - parent.start_time_unix_nano) // 10
        said = call if says_cost else Call(call.input, call.output, None)
        span = self.span(
            f"chat {_UNPRICED_MODEL}",
            parent.span_id,
            parent.start_time_unix_nano + fraction + late,
            parent.end_time_unix_nano - fraction + late,
            {**_CALL_KINDS[self.one_of(3)], **usage(said, self.one_of(4), self.one_of(3))},
            stamp=stamp,
            kind=CLIENT,
            error=self.one_of(50) == 0,  # of a call, which the request survives
        )
        if self.one_of(10) == 0:
            write_attributes(span.attributes, {"gen_ai.input.messages": json.dumps([{"content": HOSTILE}])})
        if counts and stamp is not None:
            self.recorder.work.append(Work(self.trace_id.hex(), stamp.model_id, call))
        return span

    def step(self, name: str, parent: Span, attributes: Mapping[str, Value], stamp: Stamp | None) -> Span:
        """A span within its parent's time that does something else than call a model itself."""
        fraction = (parent.end_time_unix_nano - parent.start_time_unix_nano) // 50
        return self.span(
            name,
            parent.span_id,
            parent.start_time_unix_nano + fraction,
            parent.end_time_unix_nano - fraction,
            attributes,
            stamp=stamp,
        )

    def agent(self, stamp: Stamp, parent: Span, total: Call) -> Span:
        """The span of an agent, that repeats what the calls below it took."""
        said = {**AGENT_KINDS[self.one_of(3)], **usage(total, self.one_of(4), self.one_of(3))}
        return self.step("agent", parent, said, stamp)

    def evaluate(self, stamp: Stamp, judged: Span, scores: Mapping[str, float]) -> None:
        """Results of evaluations of a span: later spans of another process, or events of the span itself."""
        for name, value in scores.items():
            details: dict[str, Value] = {
                "gen_ai.evaluation.name": name,
                "gen_ai.evaluation.score.value": value,
                "gen_ai.evaluation.score.label": "good" if value > 0.5 else "bad",
                "gen_ai.evaluation.explanation": HOSTILE,
            }
            way = self.one_of(3)
            if way == 0:
                event = judged.events.add(name=EVALUATION, time_unix_nano=judged.end_time_unix_nano)
                write_attributes(event.attributes, details)
            else:
                time_ns = judged.end_time_unix_nano + self.rng.randrange(1, 24 * 60) * _MINUTE
                if way == 1:  # by a model, whose tokens are not the version's
                    details |= usage(Call(5000, 500, 0.5), 0, 0)
                self.span(
                    EVALUATION,
                    judged.span_id,
                    time_ns,
                    time_ns,
                    details,
                    stamp=stamp,
                    resource=Resource("evaluator", self.resource.environment),
                    flags=REMOTE_PARENT,
                )
            self.recorder.results.append(Result(self.trace_id.hex(), stamp.model_id, name, value))


def write_attributes(into: "object", values: Mapping[str, Value]) -> None:
    for key, value in values.items():
        attribute = into.add()  # type: ignore[attr-defined]
        attribute.key = key
        if isinstance(value, str):
            attribute.value.string_value = value
        elif isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.double_value = value


_CALL_KINDS: Final[Sequence[Mapping[str, Value]]] = (
    {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "acme", "gen_ai.request.model": _UNPRICED_MODEL},
    {"openinference.span.kind": "LLM", "llm.model_name": _UNPRICED_MODEL},
    {"llm.request.type": "chat", "gen_ai.system": "acme", "gen_ai.response.model": _UNPRICED_MODEL},
)
AGENT_KINDS: Final[Sequence[Mapping[str, Value]]] = (
    {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"},
    {"openinference.span.kind": "AGENT"},
    {"traceloop.span.kind": "workflow", "traceloop.entity.name": "plan"},
)
_TOKEN_SPELLINGS: Final = (
    (("gen_ai.usage.input_tokens",), ("gen_ai.usage.output_tokens",)),
    (("llm.token_count.prompt",), ("llm.token_count.completion",)),
    (("gen_ai.usage.prompt_tokens",), ("gen_ai.usage.completion_tokens",)),
    (
        ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
    ),
)


def usage(call: Call, token_spelling: int, cost_spelling: int) -> dict[str, Value]:
    inputs, outputs = _TOKEN_SPELLINGS[token_spelling]
    values: dict[str, Value] = {**dict.fromkeys(inputs, call.input), **dict.fromkeys(outputs, call.output)}
    if call.cost is not None:
        values |= (
            {"gen_ai.usage.cost": call.cost},
            {"llm.cost.total": call.cost},
            {"mlflow.llm.cost": json.dumps({"input_cost": 0.0, "output_cost": call.cost, "total_cost": call.cost})},
        )[cost_spelling]
    return values


@dataclass(frozen=True)
class Request:
    """A request to a version.

    Attributes:
        start_ns: When it begins.
        stamp: What the process that answers it writes onto spans.
        draw: What happens.
        has_cost: Whether it is known what its calls cost.
    """

    start_ns: int
    stamp: Stamp
    draw: Draw
    has_cost: bool

    @property
    def call(self) -> Call:
        """All of its calls in one."""
        return Call.total(self.calls)

    @property
    def calls(self) -> tuple[Call, Call]:
        """Its calls in two halves: the same twice, which is not the same call."""
        taken, given = self.draw.input // 2, self.draw.output // 2
        half = Call(taken, given, round(3e-6 * taken + 15e-6 * given, 9) if self.has_cost else None)
        return half, half
