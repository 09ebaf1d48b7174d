# SPDX-License-Identifier: Apache-2.0
"""Traffic as it is: sampled, of conversations, of changed routes, with broken clocks and single long traces."""

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clickhouse_server import ClickHouseServer
from effort import some
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import ReadingError, Selection, VersionFilter
from otel_loggedmodel.store.results import Comparison, LatencyMs, Reason, Verdict

START_NS = 1_795_000_000 * 10**9


@pytest.fixture(scope="module")
def opened(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    """One store for all of these tests, which name their versions differently."""
    with clickhouse_server.new_database() as name:
        store = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        yield store
        store.close()


class Versions:
    """Versions of one test.

    Args:
        store: Where their traces go.
        test: Its name, which those of the versions begin with.
    """

    def __init__(self, store: Store, test: str) -> None:
        self.store = store
        self._test = test
        self._rng = random.Random(test)
        self._requests: list[bytes] = []

    def name(self, version: str) -> str:
        return f"{self._test}:{version}"

    def send(
        self,
        version: str,
        milliseconds: Sequence[float],
        failed: Sequence[bool] = (),
        trace_state: str = "",
        name: str = "answer",
        start_ns: int = START_NS,
        service: str = "",
        **attributes: float | str,
    ) -> list[str]:
        """A trace for each duration; returns their ids."""
        message = ExportTraceServiceRequest()
        resource_spans = message.resource_spans.add()
        if service:
            resource_spans.resource.attributes.add(key="service.name").value.string_value = service
        spans = resource_spans.scope_spans.add().spans
        for place, duration in enumerate(milliseconds):
            span = spans.add(
                trace_id=self._rng.randbytes(16),
                span_id=self._rng.randbytes(8),
                name=name,
                trace_state=trace_state,
                start_time_unix_nano=start_ns + place * 10**9,
                end_time_unix_nano=start_ns + place * 10**9 + round(duration * 1e6),
                status=Status(code=2 if place < len(failed) and failed[place] else 0),
            )
            add(span, {"logged_model.id": self.name(version), **attributes})
        self.keep(message)
        return [span.trace_id.hex() for span in spans]

    def score(self, version: str, traces: Sequence[str], values: Sequence[float], source: str = "llm") -> None:
        """A result for each of these traces."""
        message = ExportTraceServiceRequest()
        spans = message.resource_spans.add().scope_spans.add().spans
        for trace_id, value in zip(traces, values, strict=True):
            span = spans.add(
                trace_id=bytes.fromhex(trace_id),
                span_id=self._rng.randbytes(8),
                parent_span_id=b"12345678",
                name="gen_ai.evaluation.result",
                start_time_unix_nano=START_NS + 3600 * 10**9,
                end_time_unix_nano=START_NS + 3600 * 10**9,
            )
            said = {"gen_ai.evaluation.name": "good", "gen_ai.evaluation.score.value": value}
            add(span, {"logged_model.id": self.name(version), "logged_model.evaluation.source": source, **said})
        self.keep(message)

    def keep(self, message: ExportTraceServiceRequest) -> None:
        self._requests.append(message.SerializeToString())

    def compare(self, *versions: str, **selection: Any) -> Comparison:
        """The versions, in which what was sent is stored at once."""
        if self._requests:
            self.store.writer.insert(self._requests)
            self._requests = []
        found = self.store.reader.compare([self.name(version) for version in versions], Selection(**selection))
        return dataclasses.replace(found, notes=tuple(note.replace(self.name(""), "") for note in found.notes))


@pytest.fixture
def versions(opened: Store, request: pytest.FixtureRequest) -> Versions:
    return Versions(opened, request.node.name)


def add(span: Span, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(span.attributes.add(key=key).value, kind, value)


def test_sampled_traces_count_as_often_as_they_stand_for(versions: Versions) -> None:
    """All of the errors were kept, and one in ten of the others: the share of errors is that of the traffic."""
    versions.send("whole", [100.0] * 1000, [True] * 10)
    versions.send("some", [100.0] * 10, [True] * 10, **{"logged_model.adjusted_count": 1.0})
    versions.send("some", [100.0] * 99, **{"logged_model.adjusted_count": 10})
    compared = versions.compare("whole", "some")
    whole, some = compared.versions
    assert (some.traces, some.errors, some.error_rate) == (109, 10, pytest.approx(0.01))
    assert whole.error_rate == pytest.approx(0.01)
    found = compared.differences[0].metrics["error_rate"]
    assert (found.verdict, found.delta) == (Verdict.UNKNOWN, pytest.approx(0))
    assert any(note.startswith("Traces of whole do not say how many they stand for") for note in compared.notes)


def test_lists_trends_and_charts_say_what_a_comparison_says_of_sampled_traces(versions: Versions) -> None:
    versions.send("some", [1000.0] * 10, [True] * 10, **{"logged_model.adjusted_count": 1})
    versions.send("some", [float(ms) for ms in range(100, 199)], **{"logged_model.adjusted_count": 10})
    versions.send("some", [-5.0], **{"logged_model.adjusted_count": 10})
    (compared,) = versions.compare("some").versions
    reader, name = versions.store.reader, versions.name("some")
    (listed,) = [one for one in reader.versions(VersionFilter(limit=1000)) if one.model_id == name]
    assert (listed.traces, listed.errors) == (110, 10)
    assert listed.error_rate == pytest.approx(compared.error_rate) == pytest.approx(10 / 1010)
    assert listed.p95_ms == pytest.approx(compared.latency_ms.p95)
    assert 190 < compared.latency_ms.p95 < 199
    detail = reader.version(name)
    assert detail.version.error_rate == pytest.approx(compared.error_rate)
    (activity,) = reader.activities([name]).versions
    assert (activity.total.traces, activity.total.errors) == (110, 10)
    assert activity.total.error_rate == pytest.approx(compared.error_rate)
    assert activity.total.p50_ms == pytest.approx(compared.latency_ms.p50)
    assert activity.total.p95_ms == pytest.approx(compared.latency_ms.p95)
    assert sum(point.traces for point in activity.points) == 110
    assert activity.points[0].error_rate > 0.01
    (bins,) = reader.behaviour([name]).latency_bins
    assert (sum(bins.values()), max(bins.items())[1]) == (1000, 10)


def test_scores_of_sampled_traces_count_as_often_as_these(versions: Versions) -> None:
    for version in ("v1", "v2"):
        failed = versions.send(version, [10.0] * 30, [True] * 30, **{"logged_model.adjusted_count": 1})
        others = versions.send(version, [10.0] * 97, **{"logged_model.adjusted_count": 10})
        versions.score(version, [*failed, *others], [0.0] * 30 + [1.0] * 97)
    compared = versions.compare("v1", "v2")
    for version in compared.versions:
        assert (version.scores["good"].mean, version.scores["good"].count) == (pytest.approx(0.97), 127)
    found = compared.differences[0].metrics["scores.good"]
    assert (found.base, found.verdict, found.base_units) == (pytest.approx(0.97), Verdict.SAME, 127)
    (activity,) = versions.store.reader.activities([versions.name("v1")]).versions
    assert activity.scores["good"].mean == pytest.approx(0.97)
    assert [mean for mean in activity.score_trends["good"] if mean is not None] == [pytest.approx(0.97)]
    # Where not all traces say it, there is no verdict on what is said of them.
    versions.score("v2", versions.send("v2", [10.0]), [1.0])
    found = versions.compare("v1", "v2").differences[0].metrics["scores.good"]
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, Reason.WEIGHTS_MISSING)


def test_how_well_judges_agree_with_people_is_told(versions: Versions) -> None:
    traces = versions.send("v1", [10.0] * 30)
    judged = [1.0] * 20 + [0.0] * 10
    versions.score("v1", traces, judged)
    versions.score("v1", traces[2:], [1 - one if place < 4 else one for place, one in enumerate(judged[2:])], "human")
    (note,) = [note for note in versions.compare("v1").notes if "judges and people" in note]
    # Of 28 pairs, 14 and 10 are the same; people say 14 to 14, judges 18 to 10.
    kappa = (24 / 28 - 0.5) / 0.5
    assert note.startswith(
        f"Score good: judges and people say the same of 24 of 28 traces (Cohen's kappa {kappa:.2f}, "
    )
    # What either says alone is no agreement.
    versions.score("v2", versions.send("v2", [10.0] * 30), [1.0] * 30)
    assert not any("judges and people" in note for note in versions.compare("v2").notes)


def test_scores_of_one_conversation_are_one_unit(versions: Versions) -> None:
    for version, passing in (("v1", 15), ("v2", 8)):
        for session in range(25):
            traces = versions.send(version, [10.0] * 20, **{"session.id": f"{version}-{session}"})
            versions.score(version, traces, [float(session < passing)] * 20)
    found = versions.compare("v1", "v2").differences[0].metrics["scores.good"]
    assert (found.base, found.candidate) == (pytest.approx(0.6), pytest.approx(0.32))
    assert (found.verdict, found.base_units, found.candidate_units) == (Verdict.UNKNOWN, 25, 25)
    assert found.p_value > 0.02
    alone = versions.compare("v1", "v2", by="trace").differences[0].metrics["scores.good"]
    assert (alone.verdict, alone.base_units) == (Verdict.WORSE, 500)
    assert alone.p_value < 1e-9


def test_a_service_has_the_share_of_its_traffic_that_samplers_say(versions: Versions) -> None:
    service = versions.name("shop")
    now_ns = time.time_ns() - 200 * 10**9
    for version, count in (("control", 10), ("canary", 1)):
        versions.send(version, [10.0] * 20, service=service, start_ns=now_ns, **{"logged_model.adjusted_count": count})
    versions.compare("control", "canary")
    found = {one.model_id: one.share for one in versions.store.reader.deployments() if one.service == service}
    assert found == {
        versions.name("control"): pytest.approx(10 / 11),
        versions.name("canary"): pytest.approx(1 / 11),
    }


def test_what_our_collector_kept_counts_as_often_as_it_stands_for(versions: Versions) -> None:
    """A trace with an error stands for itself, wherever in it the error is; others for what was left out."""
    tail = {"logged_model.sampling.percent": 10}
    versions.send("some", [100.0] * 5, [True] * 5, **tail)
    within = versions.send("some", [100.0] * 5, **tail)
    versions.send("some", [100.0] * 99, **tail)
    # Of what the SDK sampled before, one in four is here.
    versions.send("both", [100.0] * 2, [True, False], trace_state="ot=th:c", **tail)
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for trace_id in within:
        span = spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=b"12345678",
            parent_span_id=b"87654321",
            name="step",
            start_time_unix_nano=START_NS,
            end_time_unix_nano=START_NS + 1,
            status=Status(code=2),
        )
        add(span, {"logged_model.id": versions.name("some")})
    versions.keep(message)
    some, both = versions.compare("some", "both", by="trace").versions
    # An error in a step that the run outlived is none of the run.
    assert (some.traces, some.errors) == (109, 5)
    assert some.error_rate == pytest.approx(5 / (5 + 5 + 990))
    assert both.error_rate == pytest.approx(4 / (4 + 40))


@pytest.mark.parametrize("count", some([0, "many", -1.0, 0.5, 2.0**57, ""], quick=2))
def test_an_adjusted_count_that_is_none_leaves_no_verdict(versions: Versions, count: float | str) -> None:
    versions.send("v1", [100.0] * 30)
    versions.send("v2", [200.0] * 30, **{"logged_model.adjusted_count": 2.0})
    versions.send("v2", [200.0] * 10, **{"logged_model.adjusted_count": count})
    compared = versions.compare("v1", "v2")
    assert {one.reason for one in compared.differences[0].metrics.values()} == {Reason.WEIGHTS_MISSING}
    assert any(
        note.startswith("10 traces of v2 say with logged_model.adjusted_count on spans what cannot be")
        and "a number from 1 to 2^56" in note
        for note in compared.notes
    )


def test_weights_that_some_traces_lack_leave_no_verdict(versions: Versions) -> None:
    versions.send("v1", [100.0] * 40)
    versions.send("v2", [200.0] * 20, trace_state="ot=th:8")
    versions.send("v2", [200.0] * 20)
    compared = versions.compare("v1", "v2")
    assert {one.reason for one in compared.differences[0].metrics.values()} == {Reason.WEIGHTS_MISSING}
    assert any(note.startswith("20 of 40 traces of v2 do not say how many they stand for") for note in compared.notes)


def test_weights_may_be_said_in_several_ways(versions: Versions) -> None:
    versions.send("v1", [100.0] * 30)
    versions.send("v2", [100.0] * 20, **{"logged_model.adjusted_count": 3.0})
    versions.send("v2", [200.0] * 20, SampleRate=1)
    compared = versions.compare("v1", "v2")
    assert compared.versions[1].latency_ms.mean == pytest.approx((3 * 100 + 200) / 4)
    assert Reason.WEIGHTS_MISSING not in {one.reason for one in compared.differences[0].metrics.values()}


def test_hours_without_any_in_common_are_told(versions: Versions) -> None:
    rows = {"logged_model.evaluation.dataset": "d1"}
    versions.send("v1", [100.0] * 30, **rows)
    versions.send("v2", [100.0] * 30, start_ns=START_NS + 5 * 3600 * 10**9, **rows)
    (note,) = [note for note in versions.compare("v1", "v2").notes if "hour" in note]
    assert note.startswith("v1 and v2 have no hour in common: what changed between the times")
    # Rows of a data set are run when somebody runs them.
    assert not any("hour" in note for note in versions.compare("v1", "v2", dataset="d1").notes)


def test_traces_of_one_conversation_are_one_unit(versions: Versions) -> None:
    """Nine conversations say less than nine hundred traces."""
    for version, milliseconds in ("v1", 100.0), ("v2", 150.0):
        for conversation in range(9):
            versions.send(version, [milliseconds + conversation] * 100, **{"session.id": f"{version} {conversation}"})
    compared = versions.compare("v1", "v2")
    assert compared.unit == "conversation"
    assert [(version.traces, version.units) for version in compared.versions] == [(900, 9), (900, 9)]
    assert {one.reason for one in compared.differences[0].metrics.values()} == {Reason.TOO_FEW}
    assert any(
        note.startswith("The 900 traces of v1 are of 9 conversations, and 20 are needed for a verdict.")
        for note in compared.notes
    )
    by_trace = versions.compare("v1", "v2", by="trace")
    assert by_trace.differences[0].metrics["latency_ms.p50"].verdict is Verdict.WORSE
    assert by_trace.versions[0].conversations == compared.versions[0].conversations
    assert [version.latency_ms for version in by_trace.versions] == [
        LatencyMs(**{key: pytest.approx(value) for key, value in dataclasses.asdict(version.latency_ms).items()})
        for version in compared.versions
    ]


def test_a_single_unit_says_so(versions: Versions) -> None:
    versions.send("v1", [100.0 + place for place in range(30)], region="eu")
    versions.send("v2", [200.0 + place for place in range(30)], region="eu")
    compared = versions.compare("v1", "v2", by="region")
    assert {one.reason for one in compared.differences[0].metrics.values()} == {Reason.TOO_FEW}
    assert any("traces of v1 are of 1 region, and 20 are needed" in note for note in compared.notes)


def test_traces_are_put_together_by_an_attribute(versions: Versions) -> None:
    for place in range(30):
        versions.send("v1", [100.0 + place] * 3, **{"tenant": f"t{place}", "user.id": f"u{place // 3}"})
    (version,) = versions.compare("v1", by="tenant").versions
    assert version.units == 30
    assert versions.compare("v1", by="session").versions[0].units == 10
    with pytest.raises(ReadingError, match="no trace of these versions has the attribute 'team'"):
        versions.compare("v1", by="team")


def test_a_changed_mix_of_routes_is_no_difference(versions: Versions) -> None:
    rng = random.Random(3)
    for version, slow in ("v1", 80), ("v2", 200):
        versions.send(version, [rng.gauss(100, 10) for _ in range(400 - slow)], name="fast")
        versions.send(version, [rng.gauss(900, 90) for _ in range(slow)], name="slow")
    compared = versions.compare("v1", "v2")
    assert compared.versions[1].latency_ms.mean == pytest.approx(500, rel=0.1)
    found = compared.differences[0].metrics
    assert {one.adjusted for one in found.values()} == {"route"}
    assert not {Verdict.BETTER, Verdict.WORSE} & {one.verdict for one in found.values()}
    assert found["latency_ms.mean"].ratio == pytest.approx(1, abs=0.03)
    assert any("(fast 80 to 50 %; slow 20 to 50 %)" in note for note in compared.notes)


def test_spans_that_end_before_they_begin_have_no_latency(versions: Versions) -> None:
    versions.send("v1", [100.0] * 30)
    versions.send("v2", [100.0] * 27 + [-5.0] * 3)
    compared = versions.compare("v1", "v2")
    assert compared.versions[1].traces == 30
    assert compared.versions[1].latency_ms == compared.versions[0].latency_ms
    assert any(note.startswith("3 spans of v2 end before they begin") for note in compared.notes)


def test_one_trace_that_is_most_of_a_sum_is_named_and_limited(versions: Versions) -> None:
    *_, largest = versions.send("v1", [*range(100, 199), 36_000_000.0])
    versions.send("v2", [150.0] * 100)
    (note,) = [note for note in versions.compare("v1", "v2").notes if "of the sum" in note]
    assert note.startswith(f"One trace of v1 is 100 % of the sum of its latency (trace {largest}):")
    # The largest is taken for the second largest, 198 ms.
    mean = (sum(range(100, 199)) + 198) / 100
    assert f"Winsorised means, which limit the largest 1 %, are {mean:.4g} ms in v1 and 150 ms in v2." in note


def test_one_session_that_is_most_of_a_sum_is_named_by_a_trace(versions: Versions) -> None:
    for turn in range(30):
        versions.send("v1", [100.0, 100.0], **{"session.id": f"s{turn}"})
    traces = versions.send("v1", [50_000.0, 9_000_000.0], **{"session.id": "s-long"})
    (note,) = [note for note in versions.compare("v1").notes if "of the sum" in note]
    assert note.startswith(f"One conversation of v1 is 100 % of the sum of its latency (trace {traces[1]}):")
    assert "Winsorised means, which limit the largest 1 %, are 100 ms in v1." in note


def test_entry_spans_of_one_trace_are_one_unit(versions: Versions) -> None:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number, (version, tokens) in enumerate([("v1", 10), ("v2", 20)]):
        for place in range(25):
            span = spans.add(
                trace_id=bytes([number + 1]) * 16,
                span_id=(number * 100 + place + 1).to_bytes(8, "big"),
                parent_span_id=b"\xff" * 8,
                name="answer",
                start_time_unix_nano=START_NS + place * 10**9,
                end_time_unix_nano=START_NS + place * 10**9 + 10**6,
            )
            add(
                span,
                {
                    "logged_model.id": versions.name(version),
                    "logged_model.name": version,
                    "gen_ai.usage.input_tokens": tokens,
                },
            )
    versions.keep(message)
    compared = versions.compare("v1", "v2")
    assert [(version.traces, version.units) for version in compared.versions] == [(25, 1), (25, 1)]
    tokens_in = compared.differences[0].metrics["tokens.input_per_trace"]
    assert (tokens_in.base, tokens_in.candidate, tokens_in.reason) == (10, 20, Reason.TOO_FEW)


def test_rows_of_a_group_are_one_unit(versions: Versions) -> None:
    for place, version in enumerate(("v1", "v2")):
        message = ExportTraceServiceRequest()
        spans = message.resource_spans.add().scope_spans.add().spans
        rng = random.Random(version)
        for row in range(60):
            span = spans.add(
                trace_id=rng.randbytes(16),
                span_id=rng.randbytes(8),
                parent_span_id=b"12345678",
                name="gen_ai.evaluation.result",
                start_time_unix_nano=START_NS + row,
                end_time_unix_nano=START_NS + row,
            )
            add(
                span,
                {
                    "logged_model.id": versions.name(version),
                    "gen_ai.evaluation.name": "kind",
                    "gen_ai.evaluation.score.value": 0.5 + 0.1 * place * (row // 5 % 3) + row / 1000,
                    "logged_model.evaluation.dataset": "d1",
                    "logged_model.evaluation.row": f"r{row}",
                    "logged_model.evaluation.group": f"passage {row // 5}",
                },
            )
        versions.keep(message)
    found = versions.compare("v1", "v2").differences[0].metrics["scores.kind"]
    assert found.evaluation is not None
    assert (found.evaluation.test, found.evaluation.pairs, found.base_units) == ("grouped_t", 60, 12)
    assert (found.delta, found.verdict) == (pytest.approx(0.1), Verdict.BETTER)
