# SPDX-License-Identifier: Apache-2.0
"""A synthetic data set of which the truth is known: OTLP requests, and what every number about them has to be.

The truth is computed from what was noted while the traces were made, in plain Python, and never by the code that is
tested. The rules that it follows:

- A trace of a version is an entry span of it. An entry span counts with another one of the same version and trace if it
  is within that one in time and has another parent. If only some entry spans are selected, a selected one never counts
  with one that is not.
- Tokens and cost are those of the version's spans in the traces that have such an entry span. It does not matter which
  service the spans are of, when they began, or how often they were sent. A call counts once, however many spans above
  it repeat what it took.
- What one scorer said of one row of a data set, however often, is one value, the mean.
- Scores are those of the version's spans. All of them count, because a Collector that samples keeps evaluations of
  traces that it drops. If only some entry spans are selected, those in their traces count.
- What a trace takes on average is all that was taken, divided by the number of traces. Traces that took nothing count.
- A reference by name means the newest version of that name that was created before the span began.
- An evaluation belongs to the version of the span that it judges.
"""

import random
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource as SdkResource

from otel_loggedmodel.store.results import LatencyMs, Score, ScoreGroup, Tokens, VersionMetrics
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import EventKind, LoggedModelStatus, ModelEvent
from planted_shapes import beside, headless, make_traces, unversioned
from planted_traces import (
    API,
    WORKER,
    Call,
    Entry,
    Recorder,
    Request,
    Resource,
    Result,
    Stamp,
    Trace,
    write_attributes,
)
from planted_versions import ASSISTANT, HOSTILE, PlantedVersion, draws, planted_versions

END: Final = datetime(2026, 11, 20, tzinfo=timezone.utc)
DAYS: Final = 7
_MINUTE: Final = 60 * 10**9
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Traffic:
    """What was sent, and what it comes to.

    Attributes:
        requests: Serialized `ExportTraceServiceRequest` messages, in the order in which they are sent.
        versions: By role; the first is `base`, which the others are compared with.
        span_count: How many different spans there are.
        sent_count: How many were sent, some of them again.
        middle: When an entry span of `base` begins, about in the middle.
    """

    requests: Sequence[bytes]
    versions: Mapping[str, PlantedVersion]
    span_count: int
    sent_count: int
    middle: datetime
    _recorder: Recorder

    def entries(
        self,
        version: str,
        service: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[Entry]:
        """The entry spans of a version that count, by their start; selected as `store.reading.Selection` says."""
        by_trace = defaultdict(list)
        for entry in self._recorder.entries:
            if (
                entry.model_id == version
                and (service is None or entry.service == service)
                and (since is None or entry.start_ns >= _nanoseconds(since))
                and (until is None or entry.start_ns < _nanoseconds(until))
                and all(entry.attributes.get(key) == value for key, value in (attributes or {}).items())
            ):
                by_trace[entry.trace_id].append(entry)
        counted = [
            entry
            for entries in by_trace.values()
            for entry in entries
            if not any(entry.is_within(other) for other in entries)
        ]
        return sorted(counted, key=lambda entry: entry.start_ns)

    def truth(
        self,
        version: str,
        service: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> VersionMetrics:
        """The numbers of a version, by its id; selected as `store.reading.Selection` says."""
        entries = self.entries(version, service, since, until, attributes)
        traces = {entry.trace_id for entry in entries}
        total = Call.total(
            [work.call for work in self._recorder.work if work.model_id == version and work.trace_id in traces]
        )
        selects = bool(service or since or until or attributes)
        results = [
            result
            for result in self._recorder.results
            if result.model_id == version and (result.trace_id in traces or not selects)
        ]
        count = len(entries)
        errors = sum(entry.error for entry in entries)
        return VersionMetrics(
            model_id=version,
            name=next((planted.name for planted in self.versions.values() if planted.model_id == version), None),
            traces=count,
            errors=errors,
            error_rate=_each(errors, count),
            latency_ms=_latency([(entry.end_ns - entry.start_ns) / 1e6 for entry in entries]),
            tokens=Tokens(
                input=total.input,
                output=total.output,
                input_per_trace=_each(total.input, count),
                output_per_trace=_each(total.output, count),
            ),
            cost_usd=total.cost,
            cost_usd_per_trace=None if total.cost is None else _each(total.cost, count),
            scores=scores_of(results),
        )


def scores_of(results: Sequence[Result]) -> dict[str, Score]:
    """What results come to, by name; groups are in the order of their kinds."""
    values: dict[str, dict[tuple[str, str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    rows: dict[tuple[str, tuple[str, str, str], str], list[float]] = defaultdict(list)
    for result in results:
        if result.row:
            rows[result.name, result.kind, result.row].append(result.value)
        else:
            values[result.name][result.kind].append(result.value)
    for (name, kind, _), found in rows.items():
        values[name][kind].append(statistics.fmean(found))
    scores = {}
    for name, by_kind in values.items():
        everything = [value for found in by_kind.values() for value in found]
        groups = [
            ScoreGroup(
                source=kind[0] or None,
                scorer=kind[1] or None,
                dataset=kind[2] or None,
                mean=statistics.fmean(found),
                count=len(found),
            )
            for kind, found in sorted(by_kind.items())
        ]
        scores[name] = Score(mean=statistics.fmean(everything), count=len(everything), groups=tuple(groups))
    return scores


def _each(total: float, count: int) -> float | None:
    return total / count if count else None


def _latency(milliseconds: Sequence[float]) -> LatencyMs:
    if not milliseconds:
        return LatencyMs()
    # With linear interpolation between the two nearest, as numpy and ClickHouse's quantileExactInclusive have it. One
    # value has to be there twice to have quantiles.
    percentiles = statistics.quantiles(
        [*milliseconds] * (2 if len(milliseconds) == 1 else 1), n=100, method="inclusive"
    )
    return LatencyMs(
        p50=percentiles[49],
        p90=percentiles[89],
        p95=percentiles[94],
        p99=percentiles[98],
        mean=statistics.fmean(milliseconds),
    )


def make_traffic(seed: int = 1, traces: int = 4000, end: datetime = END) -> Traffic:
    """A week of traffic of several versions. The same arguments make the same traffic.

    Args:
        seed: Of everything that is random. Ids of registered versions do not depend on it, so two data sets are not for
            one database.
        traces: How many, about; at least 2000 for what is planted to be found.
        end: When it ends; evaluations follow for another day. The versions were made in the hour before the first
            trace, but for `referred_second`, made in the middle.
    """
    rng = random.Random(seed)
    recorder = Recorder()
    versions = planted_versions(rng)
    start_ns = _nanoseconds(end) - DAYS * _DAY
    counts = {
        version.role: round(version.share if version.share > 1 else version.share * traces) for version in versions
    }
    requests = {version.role: list(_requests(version, counts[version.role], start_ns, rng)) for version in versions}
    # Two versions that answer the same requests, one of them in the shadow.
    shadowed, requests["plain"] = (
        requests["plain"][: counts["unregistered"]],
        requests["plain"][counts["unregistered"] :],
    )
    for pair in zip(shadowed, requests.pop("unregistered"), strict=True):
        beside(_new_trace(recorder, rng, pair[0].start_ns), pair)
    for of_version in requests.values():
        make_traces(iter(of_version), lambda request: _new_trace(recorder, rng, request.start_ns), rng)
    for version in versions:
        for request in _requests(version, counts[version.role] // 50, start_ns, rng):
            headless(_new_trace(recorder, rng, request.start_ns), request)
    for number in range(traces // 20):
        resource = Resource("billing", "production") if number % 2 else None
        unversioned(_new_trace(recorder, rng, start_ns + rng.randrange(DAYS * _DAY), resource))
    sent = _with_resent(_batches(recorder, versions, start_ns, rng))
    spans = [span for batch in sent for span in _spans_of(batch)]
    middle = next(
        entry.start_ns
        for entry in sorted(recorder.entries, key=lambda entry: entry.start_ns)
        if entry.model_id == versions[0].model_id
        and entry.start_ns >= start_ns + DAYS * _DAY // 2
        and entry.start_ns % 1000 == 0
    )
    return Traffic(
        requests=[batch.SerializeToString() for batch in sent],
        versions={version.role: version for version in versions},
        span_count=len({(span.trace_id, span.span_id) for span in spans}),
        sent_count=len(spans),
        middle=_EPOCH + timedelta(microseconds=middle // 1000),
        _recorder=recorder,
    )


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


# Requests

# `referred_second` was made in the middle. A trace takes less than a few minutes.
_REFERRED_DAYS: Final = {"referred_first": (0.0, DAYS / 2 - 0.01), "referred_second": (DAYS / 2 + 0.01, float(DAYS))}


def _requests(version: PlantedVersion, count: int, start_ns: int, rng: random.Random) -> Iterator[Request]:
    """Requests to a version, spread over the week in random order."""
    positions = [(index + rng.random()) / count for index in range(count)]
    rng.shuffle(positions)
    for index, (position, draw) in enumerate(zip(positions, draws(version.behaviour, count, rng), strict=True)):
        stamp, first_day, last_day = _stamp(version, index)
        request_ns = start_ns + int((first_day + position * (last_day - first_day)) * _DAY)
        scores = {**draw.scores, HOSTILE: 0.25} if draw.scores and version.name == HOSTILE else draw.scores
        yield Request(
            start_ns=request_ns // 1000 * 1000,  # a datetime can tell microseconds
            stamp=stamp,
            draw=replace(draw, scores=scores),
            has_cost=version.behaviour.has_cost,
        )


def _stamp(version: PlantedVersion, index: int) -> tuple[Stamp, float, float]:
    """What a process writes for a version, and between which days of the week it does."""
    days = _REFERRED_DAYS.get(version.role)
    if days is None:
        return Stamp(version.model_id, version.name, version.model_id), 0.0, float(DAYS)
    ways = (
        (Stamp(version.model_id, version.name, version.model_id), days[0], float(DAYS)),  # whatever is newest
        (Stamp(identity.reference_to("0", ASSISTANT), ASSISTANT, version.model_id), *days),
        (Stamp(ASSISTANT, None, version.model_id), *days),
    )
    return ways[index % 3]


def _new_trace(recorder: Recorder, rng: random.Random, start_ns: int, resource: Resource | None = None) -> Trace:
    service = API if rng.random() < 0.7 else WORKER
    environment = "production" if rng.random() < 0.8 else "staging"
    return Trace(recorder, rng, start_ns, resource or Resource(service, environment))


# Batches

_SPANS_A_BATCH: Final = 400


def _batches(
    recorder: Recorder, versions: Sequence[PlantedVersion], start_ns: int, rng: random.Random
) -> list[ExportTraceServiceRequest]:
    """All spans, in the order in which they ended, in requests that each have those of several services."""
    ended = sorted(recorder.spans, key=lambda sent: sent[1].end_time_unix_nano)
    timed = list(_record_batches(versions, start_ns, rng))
    for start in range(0, len(ended), _SPANS_A_BATCH):
        batch = ExportTraceServiceRequest()
        by_resource = defaultdict(list)
        for resource, span in ended[start : start + _SPANS_A_BATCH]:
            by_resource[resource].append(span)
        for resource, spans in by_resource.items():
            resource_spans = batch.resource_spans.add()
            write_attributes(resource_spans.resource.attributes, resource.attributes)
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name, scope_spans.scope.version = "application", "1.0"
            scope_spans.spans.extend(spans)
        timed.append((ended[start][1].end_time_unix_nano, batch))
    return [batch for _, batch in sorted(timed, key=lambda one: one[0])]


def _record_batches(
    versions: Sequence[PlantedVersion], start_ns: int, rng: random.Random
) -> Iterator[tuple[int, ExportTraceServiceRequest]]:
    """The records of each version, from two processes, of which one repeats its own after half a day."""
    for index, version in enumerate(versions):
        made_ns = start_ns - _HOUR + index * _MINUTE
        if version.role == "referred_second":
            made_ns = start_ns + DAYS * _DAY // 2
        created = _created(version, made_ns) if version.registered else None
        yield from _announcements(created, version.model_id, version.name, made_ns, rng)
    # A process that knows the name alone, as some do that use the two that it refers to.
    reference = identity.reference_to("0", ASSISTANT)
    created = _event("created", reference, start_ns, name=ASSISTANT)
    yield from _announcements(created, reference, ASSISTANT, start_ns, rng)
    yield from _announcements(None, ASSISTANT, None, start_ns, rng)


def _created(version: PlantedVersion, time_ns: int) -> ModelEvent:
    model_type = None if identity.is_reference(version.model_id) else "agent"
    return _event(
        "created",
        version.model_id,
        time_ns,
        name=version.name,
        model_type=model_type,
        params=version.params,
        tags=version.tags,
    )


def _event(kind: EventKind, model_id: str, time_ns: int, **fields: object) -> ModelEvent:
    ready = {"experiment_id": "0", "status": LoggedModelStatus.READY} if kind == "created" else {}
    return ModelEvent(kind=kind, model_id=model_id, time_ns=time_ns, **{**ready, **fields})  # type: ignore[arg-type]


def _announcements(
    created: ModelEvent | None, model_id: str, name: str | None, time_ns: int, rng: random.Random
) -> Iterator[tuple[int, ExportTraceServiceRequest]]:
    for service in (API, WORKER):
        activated = _event("activated", model_id, time_ns + _MINUTE, span_id=rng.getrandbits(63) + 1, name=name)
        resource = SdkResource(dict(Resource(service, "production").attributes))
        for repetition_ns in (None, time_ns + _DAY // 2) if service == API else (None,):
            spans = [
                records.span_of(event, resource, repetition_ns) for event in (created, activated) if event is not None
            ]
            yield repetition_ns or time_ns, encode_spans(spans)


def _with_resent(batches: Sequence[ExportTraceServiceRequest]) -> list[ExportTraceServiceRequest]:
    """Some requests a second time, a little later, and some spans within another request."""
    sent: list[ExportTraceServiceRequest] = []
    for number, batch in enumerate(batches):
        if number >= 3 and number % 3 == 0:
            again = batches[number - 3].resource_spans[0]
            partly = batch.resource_spans.add()
            partly.resource.CopyFrom(again.resource)
            partly.scope_spans.add().CopyFrom(again.scope_spans[0])
            del partly.scope_spans[0].spans[5:]
        sent.append(batch)
        if number >= 10 and number % 20 == 10:
            sent.append(batches[number - 5])
    return sent


def _spans_of(batch: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource_spans in batch.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans
