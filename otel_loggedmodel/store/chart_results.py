# SPDX-License-Identifier: Apache-2.0
"""What readers get for charts: how versions did over time, and what is behind their numbers.

What `results` says of its values holds here too, except that there are no messages for these: they may change with what
is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_loggedmodel.store.results import Score


@dataclass(frozen=True, kw_only=True)
class Point:
    """The numbers of a version in one part of the time, or in all of it.

    In rates, quantiles and means, each trace counts as often as its sampler says.

    Attributes:
        start_ms: When the part begins.
        traces: How many began in it.
        errors: How many of them failed.
        error_rate: Between 0 and 1; None without traces.
        p50_ms: Median of their latency in ms; None without traces.
        p95_ms: 95th percentile of the same.
        tokens_per_trace: Tokens in and out; None where no call says any.
        cost_usd_per_trace: US dollars; None where no price is known.
    """

    start_ms: int
    traces: int = 0
    errors: int = 0
    error_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    tokens_per_trace: float | None = None
    cost_usd_per_trace: float | None = None


@dataclass(frozen=True, kw_only=True)
class Activation:
    """That a process began to run a version, or says that it still does."""

    time_ms: int
    service: str = ""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """That a service runs a version now.

    Attributes:
        model_id: The version.
        service: `service.name`.
        environment: `deployment.environment.name`, or empty.
        since_ms: When a process last began to run it; 0 where none has said so.
        last_ms: When it last showed a sign of life.
        share: Which part of the service's traffic it has, between 0 and 1; None without traffic.
    """

    model_id: str
    service: str
    environment: str = ""
    since_ms: int = 0
    last_ms: int = 0
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How a version did over time.

    Attributes:
        model_id: The version.
        previous: The id of the version that was before it, of its name or of one with a lower number (`my-agent-v1`
            before `my-agent-v2`); None where there is none.
        total: Over all the time; `start_ms` is that of the first part.
        points: The parts of time in which there are traces, in order.
        life: The same points over its own life, from its first trace to its last, in two dozen parts.
        activations: The newest of its activations, oldest first.
        scores: The results of each evaluation.
        score_trends: The mean of each evaluation's results in each part of time; results from before the first part or
            after the last count in that part.
    """

    model_id: str
    total: Point
    previous: str | None = None
    points: tuple[Point, ...] = ()
    life: tuple[Point, ...] = ()
    activations: tuple[Activation, ...] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    score_trends: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Activities:
    """How versions did over time.

    Attributes:
        start_ms: When the first part of time begins.
        step_ms: How long each is.
        parts: How many there are.
        versions: In the order in which they were asked for.
    """

    start_ms: int
    step_ms: int
    parts: int
    versions: tuple[Activity, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ErrorKind:
    """A kind of error with which traces failed.

    Attributes:
        kind: `error.type` of the entry span, else the type of its exception, else what its status says.
        counts: How many entry spans of each version, in order.
        trace_ids: The newest such trace of each version; None where there is none.
    """

    kind: str
    counts: tuple[int, ...]
    trace_ids: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What spans of one name take.

    Attributes:
        name: The spans' name.
        calls_per_trace: How many there are for each entry span, of each version, in order; None without entry spans.
        mean_ms: How long one takes; None where there are none.
        ms_per_trace: How long all of them take for each entry span.
    """

    name: str
    calls_per_trace: tuple[float | None, ...]
    mean_ms: tuple[float | None, ...]
    ms_per_trace: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What is behind the numbers of versions.

    Attributes:
        model_ids: The versions, in the order in which they were asked for.
        latency_bins: For each version, how many traces are in each bin; bin `n` is from 10 ** (n / 20) ms to the next.
            Each trace counts as often as its sampler says.
        errors: The kinds of errors, the most frequent first.
        operations: By name of span; those whose share of the time differs most between versions first.
    """

    model_ids: tuple[str, ...]
    latency_bins: tuple[Mapping[int, int], ...] = ()
    errors: tuple[ErrorKind, ...] = ()
    operations: tuple[Operation, ...] = ()
