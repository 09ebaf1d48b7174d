# SPDX-License-Identifier: Apache-2.0
"""The synthetic data set holds what it says: its messages say the same, and what is planted in it is there."""

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otel_loggedmodel as mlflow
from conftest import Traced
from otel_loggedmodel.store.results import Verdict, VersionMetrics
from otel_loggedmodel.versions import identity, records
from planted_traces import API, ENVIRONMENT, EVALUATION, TENANT, WORKER
from planted_versions import ALL_METRICS, ASSISTANT, HOSTILE
from truth import DAYS, END, Traffic, make_traffic

SELECTIONS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "service": {"service": WORKER},
    "other service": {"service": API},
    "attribute": {"attributes": {TENANT: "acme"}},
    "resource's attribute": {"attributes": {ENVIRONMENT: "staging", TENANT: "globex"}},
    "attribute of the version's": {"attributes": {"http.route": "/nothing"}},
}


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return make_traffic()


# What the messages say, read another way than they were made


@dataclass
class Received:
    """A span and its resource, as it came first."""

    span: Span
    resource: Mapping[str, Any]
    own: Mapping[str, Any]

    @property
    def parent(self) -> bytes:
        return self.span.parent_span_id

    @property
    def attributes(self) -> Mapping[str, Any]:
        return {**self.resource, **self.own}


def plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def received(requests: Iterable[bytes]) -> dict[tuple[bytes, bytes], Received]:
    spans: dict[tuple[bytes, bytes], Received] = {}
    for request in requests:
        for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans:
            resource = plain(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    key = (span.trace_id, span.span_id)
                    spans.setdefault(key, Received(span, resource, plain(span.attributes)))
    return spans


def first_of(attributes: Mapping[str, Any], *keys: str) -> Any:
    return next((attributes[key] for key in keys if key in attributes), None)


MEASURES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "input": lambda own: first_of(
        own, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"
    ),
    "output": lambda own: first_of(
        own, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"
    ),
    "cost": lambda own: (
        json.loads(own["mlflow.llm.cost"])["total_cost"]
        if "mlflow.llm.cost" in own
        else first_of(own, "gen_ai.usage.cost", "llm.cost.total")
    ),
}


class Reading:
    """What is to be known of the data set from its messages alone."""

    def __init__(self, requests: Iterable[bytes]) -> None:
        self.spans = received(requests)
        events = (
            records.event_of(one.own, one.span.start_time_unix_nano, int.from_bytes(one.span.span_id, "big"))
            for one in self.spans.values()
        )
        self.models = {
            model_id: folded.model
            for model_id, folded in records.fold(event for event in events if event is not None).items()
            if folded.model.creation_timestamp
        }
        self.by_version: dict[str, list[Received]] = defaultdict(list)
        for one in self.spans.values():
            if "logged_model.id" in one.own and "logged_model.event" not in one.own:
                self.by_version[self.version_of(one)].append(one)

    def version_of(self, one: Received) -> str:
        written = one.own["logged_model.id"]
        if one.span.name == EVALUATION:
            return self.version_of(self.spans[one.span.trace_id, one.parent])
        name = self.models[written].name if identity.is_reference(written) else written
        made = [
            model
            for model in self.models.values()
            if model.name == name
            and not identity.is_reference(model.model_id)
            and model.creation_timestamp * 10**6 < one.span.start_time_unix_nano
        ]
        return max(made, key=lambda model: model.creation_timestamp).model_id if made else written

    def numbers(
        self, version: str, service: str | None = None, attributes: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        entries = [one for one in self.by_version[version] if self.is_entry(one)]
        entries += self.stand_ins(version, {one.span.trace_id for one in entries})
        entries = [
            one
            for one in entries
            if (service is None or one.resource["service.name"] == service)
            and all(str(one.attributes.get(key)) == value for key, value in (attributes or {}).items())
        ]
        counted = [one for one in entries if not self.has_one_above(one, entries)]
        traces = {one.span.trace_id for one in counted}
        work = [one for one in self.by_version[version] if one.span.trace_id in traces and one.span.name != EVALUATION]
        scores = defaultdict(list)
        for one in self.by_version[version]:
            found = [one.own] if one.span.name == EVALUATION else []
            found += [plain(event.attributes) for event in one.span.events if event.name == EVALUATION]
            for result in found if one.span.trace_id in traces or not (service or attributes) else []:
                scores[result["gen_ai.evaluation.name"]].append(result["gen_ai.evaluation.score.value"])
        return {
            "latencies": [one.span.end_time_unix_nano - one.span.start_time_unix_nano for one in counted],
            "errors": sum(one.span.status.code == 2 for one in counted),
            **{name: self.innermost(work, read) for name, read in MEASURES.items()},
            "scores": {name: sorted(values) for name, values in scores.items()},
        }

    def is_entry(self, one: Received) -> bool:
        return one.span.name != EVALUATION and bool(one.span.links or "logged_model.name" in one.own or not one.parent)

    def stand_ins(self, version: str, begun: set[bytes]) -> list[Received]:
        """For each trace whose beginning never came, the earliest of the topmost spans that did."""
        cut_off: dict[bytes, list[Received]] = defaultdict(list)
        for one in self.by_version[version]:
            if one.span.trace_id not in begun and one.span.name != EVALUATION and not any(self.above(one)):
                cut_off[one.span.trace_id].append(one)
        return [min(spans, key=lambda one: one.span.start_time_unix_nano) for spans in cut_off.values()]

    def above(self, one: Received) -> Iterable[Received]:
        while (parent := self.spans.get((one.span.trace_id, one.parent))) is not None:
            yield parent
            one = parent

    def has_one_above(self, one: Received, entries: list[Received]) -> bool:
        ids = {entry.span.span_id for entry in entries}
        return any(other.span.span_id in ids for other in self.above(one))

    def innermost(self, work: list[Received], read: Callable[[Mapping[str, Any]], Any]) -> float | None:
        said = {(one.span.trace_id, one.span.span_id): read(one.own) for one in work}
        said = {key: value for key, value in said.items() if value is not None}
        repeated = {(other.span.trace_id, other.span.span_id) for key in said for other in self.above(self.spans[key])}
        values = [value for key, value in said.items() if key not in repeated]
        return math.fsum(values) if values else None


@pytest.fixture(scope="module")
def reading(traffic: Traffic) -> Reading:
    return Reading(traffic.requests)


@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
def test_the_messages_say_what_was_noted(traffic: Traffic, reading: Reading, selection: Mapping[str, Any]) -> None:
    for role, version in traffic.versions.items():
        truth, said = traffic.truth(version.model_id, **selection), reading.numbers(version.model_id, **selection)
        assert (role, truth.traces, truth.errors) == (role, len(said["latencies"]), said["errors"])
        assert truth.latency_ms.mean == (
            pytest.approx(statistics.fmean(said["latencies"]) / 1e6) if said["latencies"] else None
        )
        assert (truth.tokens.input, truth.tokens.output) == (said["input"] or 0, said["output"] or 0)
        assert truth.cost_usd == (None if said["cost"] is None else pytest.approx(said["cost"]))
        assert {name: (score.count, score.mean) for name, score in truth.scores.items()} == {
            name: (len(values), pytest.approx(statistics.fmean(values))) for name, values in said["scores"].items()
        }


def test_times_divide_the_traffic(traffic: Traffic) -> None:
    base = traffic.versions["base"].model_id
    before, after = traffic.truth(base, until=traffic.middle), traffic.truth(base, since=traffic.middle)
    everything = traffic.truth(base)
    assert before.traces + after.traces == everything.traces
    assert before.tokens.input + after.tokens.input == everything.tokens.input
    assert min(before.traces, after.traces) > 200
    # The entry span that begins just then is of the second part.
    assert traffic.truth(base, since=traffic.middle, until=traffic.middle + timedelta(microseconds=1)).traces == 1
    assert traffic.truth(base, until=END - timedelta(days=DAYS)) == VersionMetrics(model_id=base, name="support-agent")
    assert traffic.truth(base, since=END).traces == 0


def test_quantiles_lie_between_the_two_nearest(traffic: Traffic) -> None:
    few = traffic.versions["few"].model_id
    latencies = sorted((entry.end_ns - entry.start_ns) / 1e6 for entry in traffic.entries(few))
    assert len(latencies) == 10
    truth = traffic.truth(few).latency_ms
    assert truth.p50 == pytest.approx((latencies[4] + latencies[5]) / 2)
    assert truth.p90 == pytest.approx(latencies[8] + 0.1 * (latencies[9] - latencies[8]))
    assert truth.p99 == pytest.approx(latencies[8] + 0.91 * (latencies[9] - latencies[8]))


# What is planted


def value_of(metrics: VersionMetrics, metric: str) -> float:
    value: Any = metrics
    for name in metric.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return float(value.mean if hasattr(value, "mean") and metric.startswith("scores") else value)


BETTER_WHEN_HIGHER = {"scores.helpfulness", "scores.grounded"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_differences_are_there_and_no_others(seed: int) -> None:
    traffic = make_traffic(seed)
    base = traffic.truth(traffic.versions["base"].model_id)
    for role, version in traffic.versions.items():
        if not version.is_comparable or role == "few":
            continue
        metrics = traffic.truth(version.model_id)
        for metric in ALL_METRICS:
            before, after = value_of(base, metric), value_of(metrics, metric)
            if metric not in version.changed:
                # The slowest few of a sample are not as alike as the rest.
                close = 0.1 if metric == "latency_ms.p99" else 0.05
                assert after == pytest.approx(before, rel=close, abs=0.01), (role, metric)
                continue
            higher_is_worse = metric not in BETTER_WHEN_HIGHER
            assert ((after > before) == higher_is_worse) == (version.changed[metric] == Verdict.WORSE), (role, metric)
            change = after / before
            assert change >= 1.15 or change <= 0.85, (role, metric)


def standard_errors(traffic: Traffic, role: str) -> float:
    """How many standard errors the share of failed requests is from that of the first version."""
    one, other = (traffic.truth(traffic.versions[name].model_id) for name in ("base", role))
    variance = sum(each.errors / each.traces * (1 - each.errors / each.traces) / each.traces for each in (one, other))
    return (other.errors / other.traces - one.errors / one.traces) / math.sqrt(variance)


def cliffs_delta(traffic: Traffic, role: str) -> float:
    one, other = (
        [entry.end_ns - entry.start_ns for entry in traffic.entries(traffic.versions[name].model_id)]
        for name in ("base", role)
    )
    return sum((b > a) - (b < a) for a in one for b in other) / (len(one) * len(other))


def test_planted_differences_are_large_enough_to_be_found(traffic: Traffic) -> None:
    assert standard_errors(traffic, "failing") > 4
    assert standard_errors(traffic, "sturdy") < -4
    assert abs(standard_errors(traffic, "twin")) < 0.1
    assert cliffs_delta(traffic, "slower") > 0.4
    # Whoever looks at ranks alone does not see it.
    assert abs(cliffs_delta(traffic, "tail")) < 0.05
    assert abs(cliffs_delta(traffic, "twin")) < 0.01
    assert 0 < cliffs_delta(traffic, "few") < 0.3


# What the data set is made of


def test_the_same_seed_makes_the_same_traffic() -> None:
    assert make_traffic(7, traces=100).requests == make_traffic(7, traces=100).requests
    assert make_traffic(7, traces=100).requests != make_traffic(8, traces=100).requests


def test_counts(traffic: Traffic, reading: Reading) -> None:
    assert traffic.span_count == len(reading.spans)
    sent = [
        (span.trace_id, span.span_id)
        for request in traffic.requests
        for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    assert traffic.sent_count == len(sent)
    again = Counter(sent)
    assert sum(count > 1 for count in again.values()) > 500
    assert sum(traffic.truth(version.model_id).traces for version in traffic.versions.values()) > 4000
    starts = [entry.start_ns for entry in traffic.entries(traffic.versions["base"].model_id)]
    assert max(starts) - min(starts) > (DAYS - 1) * 86_400 * 10**9


def test_ids_are_written_in_every_way(traffic: Traffic, reading: Reading) -> None:
    for role in ("referred_first", "referred_second"):
        version = traffic.versions[role].model_id
        written = {one.own["logged_model.id"] for one in reading.by_version[version]}
        assert written == {version, identity.reference_to("0", ASSISTANT), ASSISTANT}
    registered = {role for role, version in traffic.versions.items() if version.model_id in reading.models}
    assert registered == {role for role, version in traffic.versions.items() if version.registered}
    for version in traffic.versions.values():
        model = reading.models.get(version.model_id)
        if model is not None:
            assert (model.name, model.params, model.tags) == (version.name, version.params, version.tags)
    assert traffic.truth("my-agent-v1.0").name is None
    assert traffic.truth("my-agent-v1.0").cost_usd is None


def test_hard_cases_are_there(traffic: Traffic, reading: Reading) -> None:
    base = reading.by_version[traffic.versions["base"].model_id]
    children = Counter((one.span.trace_id, one.parent) for one in base)
    entries = [one for one in base if reading.is_entry(one)]
    in_trace = Counter(one.span.trace_id for one in entries)
    entry_of = {one.span.trace_id: one for one in entries}
    cases = {
        "begins before its parent": lambda one: (
            (parent := reading.spans.get((one.span.trace_id, one.parent))) is not None
            and one.span.start_time_unix_nano < parent.span.start_time_unix_nano
        ),
        "in a trace without an entry span": lambda one: one.span.trace_id not in entry_of,
        "one of several entry spans": lambda one: in_trace[one.span.trace_id] > 1,
        "an entry span without a name or link": lambda one: (
            not one.parent and not one.span.links and "logged_model.name" not in one.own
        ),
        "an entry span whose parent is not stored": lambda one: (
            reading.is_entry(one) and one.parent and (one.span.trace_id, one.parent) not in reading.spans
        ),
        "says other than its resource": lambda one: one.own.get(ENVIRONMENT) not in (None, one.resource[ENVIRONMENT]),
        "failed below an entry span that did not": lambda one: (
            one.span.status.code == 2
            and one.span.trace_id in entry_of
            and entry_of[one.span.trace_id].span.status.code != 2
        ),
        "an evaluation with tokens of its own": lambda one: (
            one.span.name == EVALUATION and MEASURES["input"](one.own) is not None
        ),
        "an evaluation a day later": lambda one: (
            one.span.name == EVALUATION
            and one.span.start_time_unix_nano - entry_of[one.span.trace_id].span.start_time_unix_nano
            > 20 * 3600 * 10**9
            if one.span.trace_id in entry_of
            else False
        ),
        "an evaluation as an event": lambda one: bool(one.span.events),
        "an agent with tokens and nothing below": lambda one: (
            one.span.name == "agent"
            and MEASURES["input"](one.own) is not None
            and not children[one.span.trace_id, one.span.span_id]
        ),
        "a name of markup and SQL": lambda one: one.span.name == HOSTILE,
    }
    for case, is_one in cases.items():
        assert sum(bool(is_one(one)) for one in base) >= 3, case


def test_entry_spans_are_stamped_as_the_library_does(traced: Traced, traffic: Traffic, reading: Reading) -> None:
    base = traffic.versions["base"]
    with mlflow.use_model(model_id=base.model_id, name=base.name):
        traced.tracer.start_span("answer").end()
    ours = encode_spans([traced.spans["answer"]]).resource_spans[0].scope_spans[0].spans[0]
    planted = next(one.span for one in reading.by_version[base.model_id] if one.span.links and not one.parent)
    stamp = {key: value for key, value in plain(planted.attributes).items() if key.startswith("logged_model.")}
    assert plain(ours.attributes) == stamp
    ((ours_link,), (planted_link,)) = ours.links, planted.links
    assert (ours_link.trace_id, ours_link.span_id) == (planted_link.trace_id, planted_link.span_id)
    assert plain(ours_link.attributes) == plain(planted_link.attributes)
    assert ours.flags == planted.flags
