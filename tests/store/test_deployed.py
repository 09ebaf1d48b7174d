# SPDX-License-Identifier: Apache-2.0
"""What is deployed is what services that still send run now, whether it is busy or quiet."""

import random
import time
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.chart_results import Deployment
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import UnknownVersionError, VersionFilter
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent
from planted_traces import write_attributes

from .conftest import filled

_HOUR = 3600 * 10**9
_MINUTE = 60 * 10**9


class Fleet:
    """Processes that said that they run versions, and the traces of these."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()
        self._rng = random.Random(5)
        self._records: list[object] = []
        self._traces = ExportTraceServiceRequest()

    @property
    def requests(self) -> list[bytes]:
        return [encode_spans(self._records).SerializeToString(), self._traces.SerializeToString()]

    def activates(self, service: str, version: str, hours_ago: float, again_hours_ago: float | None = None) -> None:
        """A process begins to run a version, and may say later that it still does."""
        resource = Resource({"service.name": service, "deployment.environment.name": "production"})
        common = {"model_id": version, "name": version, "experiment_id": "0"}
        begun = self.now_ns - round(hours_ago * _HOUR)
        created = ModelEvent(kind="created", time_ns=begun, status=LoggedModelStatus.READY, **common)
        span_id = self._rng.getrandbits(63)
        activated = ModelEvent(kind="activated", time_ns=begun, span_id=span_id, **common)
        self._records += [records.span_of(event, resource) for event in (created, activated)]
        if again_hours_ago is not None:
            again = ModelEvent(
                kind="activated", time_ns=self.now_ns - round(again_hours_ago * _HOUR), span_id=span_id, **common
            )
            self._records.append(records.span_of(again, resource))

    def answers(self, service: str, version: str, minutes_ago: float, traces: int = 1, dataset: str = "") -> None:
        """Traces of a version."""
        sent = self._traces.resource_spans.add()
        write_attributes(
            sent.resource.attributes, {"service.name": service, "deployment.environment.name": "production"}
        )
        spans = sent.scope_spans.add().spans
        for number in range(traces):
            start = self.now_ns - round((minutes_ago + number / 100) * _MINUTE)
            span = spans.add(
                trace_id=self._rng.randbytes(16),
                span_id=self._rng.randbytes(8),
                name="answer",
                start_time_unix_nano=start,
                end_time_unix_nano=start + 10**6,
            )
            of_dataset = {"logged_model.evaluation.dataset": dataset} if dataset else {}
            named = {"logged_model.id": version, "logged_model.name": f"name of {version}"}
            write_attributes(span.attributes, {**named, **of_dataset})


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    """A store with several services."""
    fleet = Fleet()
    # The new one took over; the old one's last answers came a little later.
    fleet.activates("replaced", "replaced-1", 30, 4)
    fleet.activates("replaced", "replaced-2", 3)
    fleet.answers("replaced", "replaced-1", 179)
    fleet.answers("replaced", "replaced-2", 2, traces=3)
    # Traffic is split between two.
    fleet.activates("split", "split-1", 5)
    fleet.activates("split", "split-2", 4)
    fleet.answers("split", "split-1", 3, traces=3)
    fleet.answers("split", "split-2", 2, traces=1)
    # No traffic for weeks, but its process says that it goes on.
    fleet.activates("quiet", "quiet-1", 500, 11)
    # It was activated weeks ago, which is said once, and has answered ever since.
    fleet.activates("busy", "busy-1", 500)
    fleet.activates("busy", "busy-0", 700)
    fleet.answers("busy", "busy-1", 4, traces=2)
    # Ended long ago, or only evaluated.
    fleet.activates("gone", "gone-1", 40)
    fleet.answers("gone", "gone-1", 39 * 60)
    fleet.activates("evaluated", "evaluated-1", 1)
    fleet.answers("evaluated", "evaluated-1", 30, traces=5, dataset="questions")
    # Nobody said that it was activated.
    fleet.answers("unrecorded", "unrecorded-1", 5, traces=2)
    with filled(clickhouse_server, fleet.requests) as reader:
        yield reader


@pytest.fixture(scope="module")
def found(reader: StoreReader) -> dict[str, list[Deployment]]:
    """What is deployed, by service."""
    by_service: dict[str, list[Deployment]] = {}
    for one in reader.deployments():
        by_service.setdefault(one.service, []).append(one)
    return by_service


def test_services_that_no_longer_send_or_only_evaluate_run_nothing(found: dict[str, list[Deployment]]) -> None:
    assert sorted(found) == ["busy", "quiet", "replaced", "split", "unrecorded"]


def test_what_was_activated_last_is_deployed_and_what_it_replaced_is_not(found: dict[str, list[Deployment]]) -> None:
    (one,) = found["replaced"]
    assert (one.model_id, one.environment, one.share) == ("replaced-2", "production", 1.0)


def test_where_traffic_is_split_both_are_deployed_the_newest_first(found: dict[str, list[Deployment]]) -> None:
    assert [(one.model_id, one.share) for one in found["split"]] == [("split-2", 0.25), ("split-1", 0.75)]


def test_a_version_without_traffic_is_deployed_as_long_as_its_process_says_so(
    found: dict[str, list[Deployment]],
) -> None:
    (one,) = found["quiet"]
    assert (one.model_id, one.share) == ("quiet-1", None)
    assert one.since_ms < one.last_ms


def test_a_version_that_was_activated_long_ago_is_deployed_while_it_answers(
    found: dict[str, list[Deployment]],
) -> None:
    (one,) = found["busy"]
    assert (one.model_id, one.share) == ("busy-1", 1.0)
    assert one.last_ms - one.since_ms > 499 * 3600 * 1000


def test_a_version_that_spans_alone_tell_of_is_deployed_while_it_answers(found: dict[str, list[Deployment]]) -> None:
    (one,) = found["unrecorded"]
    assert (one.model_id, one.since_ms) == ("unrecorded-1", 0)


def test_a_version_that_spans_alone_tell_of_is_found_by_the_name_it_is_listed_with(reader: StoreReader) -> None:
    name = "name of unrecorded-1"
    assert [one.name for one in reader.versions() if one.model_id == "unrecorded-1"] == [name]
    assert reader.version(name).version.model_id == "unrecorded-1"
    assert [one.model_id for one in reader.versions(VersionFilter(name=name))] == ["unrecorded-1"]
    compared = reader.compare([name, "quiet-1"])
    assert [one.model_id for one in compared.versions] == ["unrecorded-1", "quiet-1"]
    with pytest.raises(UnknownVersionError):
        reader.version("name of nothing")
