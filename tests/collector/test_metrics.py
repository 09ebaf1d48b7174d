# SPDX-License-Identifier: Apache-2.0
"""Requests, errors and duration of each version, as Prometheus reads them."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from waiting import wait_until

from . import otlp
from .conftest import RunCollector
from .otlp import Span
from .running import Collector

ROOT = Path(__file__).resolve().parents[2]
CALLS = "logged_model_calls_total"
SECONDS = "logged_model_duration_seconds"
RESOURCE: dict[str, otlp.AttributeValue] = {"service.name": "shop"}


def samples(collector: Collector, metric: str) -> list[tuple[dict[str, str], float]]:
    """Return the labels and the value of each of a metric's samples."""
    lines = re.findall(rf"^{metric}\{{(.*)\}} (\S+)$", collector.metrics(), re.MULTILINE)
    return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in lines]


def calls(collector: Collector) -> dict[tuple[str, str], float]:
    """Return the number of calls by version and outcome."""
    counted: Counter[tuple[str, str]] = Counter()
    for labels, value in samples(collector, CALLS):
        outcome = labels.get("status_code", "").removeprefix("STATUS_CODE_").lower()
        counted[labels.get("logged_model_id", ""), outcome] += int(value)
    return dict(counted)


def version(model_id: str, name: str) -> dict[str, otlp.AttributeValue]:
    return {"logged_model.id": model_id, "logged_model.name": name}


@pytest.fixture
def collector(run_collector: RunCollector) -> Iterator[Collector]:
    with run_collector({"METRICS_INTERVAL": "100ms"}) as collector:
        yield collector


def expect_calls(collector: Collector, expected: dict[tuple[str, str], float]) -> None:
    """Wait for these counts, and see that no others come with or after them."""
    # The last to be counted, after all that was sent before. Every count starts with a zero.
    collector.send([Span("last", attributes=version("m-last", "last"))], RESOURCE)
    wait_until(lambda: calls(collector).get(("m-last", "unset")), "the last span to be counted")
    assert calls(collector) == {**expected, ("m-last", "unset"): 1}


def test_each_version_has_its_own_calls_errors_and_duration(collector: Collector) -> None:
    first, second = version("m-1", "bot"), version("m-2", "bot")
    collector.send([Span("answer", seconds=0.2, attributes=first) for _ in range(3)], RESOURCE)
    collector.send([Span("answer", seconds=0.2, attributes=first, error=True)], RESOURCE)
    collector.send([Span("answer", seconds=4, attributes=second) for _ in range(2)], RESOURCE)

    expect_calls(collector, {("m-1", "unset"): 3, ("m-1", "error"): 1, ("m-2", "unset"): 2})

    by_version = {labels["logged_model_id"]: labels for labels, _ in samples(collector, CALLS)}
    assert by_version["m-2"] == {
        "job": "shop",
        "service_name": "shop",
        "span_name": "answer",
        "span_kind": "SPAN_KIND_INTERNAL",
        "status_code": "STATUS_CODE_UNSET",
        "logged_model_id": "m-2",
        "logged_model_name": "bot",
    }
    sums = {labels["logged_model_id"]: value for labels, value in samples(collector, f"{SECONDS}_sum")}
    assert sums["m-2"] == pytest.approx(8)
    buckets = {
        labels["le"]: value
        for labels, value in samples(collector, f"{SECONDS}_bucket")
        if labels["logged_model_id"] == "m-2"
    }
    assert (buckets["2.5"], buckets["5"], buckets["+Inf"]) == (0, 2, 2)

    # What the dashboard asks for has these names.
    dashboard = (ROOT / "dashboards" / "collector.json").read_text(encoding="utf-8")
    asked = set(re.findall(r"logged_model_(?:calls|duration)\w+", dashboard))
    assert asked == {CALLS, f"{SECONDS}_bucket"}
    labels = set(re.findall(r"(\w+)=~?\\\\?\"", dashboard)) - {"otel_metric_overflow"}
    assert {"logged_model_name", "service_name", "status_code"} <= labels <= {*by_version["m-2"]}


def test_only_the_entry_of_each_request_is_counted(collector: Collector) -> None:
    linked: dict[str, otlp.AttributeValue] = {"logged_model.id": "m-1"}
    root = Span("root", attributes=linked)
    elsewhere = otlp.random_span_id()
    entries = [
        root,
        Span("in a scope", parent_id=elsewhere, attributes=version("m-1", "bot")),
        Span("behind a call", parent_id=elsewhere, attributes=linked, flags=otlp.REMOTE_PARENT),
        Span("server", parent_id=elsewhere, attributes=linked, kind=otlp.SERVER, flags=otlp.UNTOLD),
        Span("consumer", parent_id=elsewhere, attributes=linked, kind=otlp.CONSUMER, flags=otlp.UNTOLD),
    ]
    steps = [
        root.child("step", attributes=linked),
        root.child("server in here", attributes=linked, kind=otlp.SERVER),
        root.child("client", attributes=linked, kind=otlp.CLIENT, flags=otlp.UNTOLD),
    ]
    without_a_version = Span("other work")

    collector.send([*entries, *steps, without_a_version], RESOURCE)

    expect_calls(collector, {("m-1", "unset"): len(entries)})
    counted = {labels["span_name"] for labels, _ in samples(collector, CALLS)}
    assert counted == {span.name for span in entries} | {"last"}


def test_a_version_told_by_the_resource_is_counted(collector: Collector) -> None:
    root = Span("root")

    collector.send([root, root.child("step")], {**RESOURCE, **version("m-resource", "bot")})

    expect_calls(collector, {("m-resource", "unset"): 1})


def test_records_and_evaluation_results_are_not_work(collector: Collector) -> None:
    model_id = otlp.new_model_id()
    answer = Span("answer", attributes=version(model_id, "bot"))
    result = otlp.evaluation_result(answer, model_id)

    collector.send([otlp.model_record(model_id), otlp.model_record(model_id, event="activated"), result], RESOURCE)
    collector.send([answer], RESOURCE)

    expect_calls(collector, {(model_id, "unset"): 1})


def test_replicas_share_their_series(collector: Collector) -> None:
    for replica in range(3):
        collector.send(
            [Span("answer", attributes=version("m-1", "bot"))],
            {**RESOURCE, "service.instance.id": f"replica-{replica}", "process.pid": replica},
        )

    expect_calls(collector, {("m-1", "unset"): 3})
    assert len(samples(collector, CALLS)) == 2


def test_what_the_sdk_left_out_is_counted(collector: Collector) -> None:
    # A threshold of 0xc0... in 56 bits: one in four was sampled.
    collector.send([Span("answer", attributes=version("m-1", "bot"), trace_state="ot=th:c")], RESOURCE)

    expect_calls(collector, {("m-1", "unset"): 4})


def test_all_work_is_counted_when_a_share_is_kept(run_collector: RunCollector) -> None:
    settings = {"SAMPLING": "tail_sampling", "KEEP_PERCENT": "1", "METRICS_INTERVAL": "100ms"}
    with run_collector(settings) as collector:
        collector.send([Span("answer", attributes=version("m-1", "bot")) for _ in range(500)], RESOURCE)

        expect_calls(collector, {("m-1", "unset"): 500})
        assert len(collector.spans()) < 50


def test_past_the_limit_of_series_versions_are_counted_together(run_collector: RunCollector) -> None:
    with run_collector({"METRICS_SERIES": "10", "METRICS_INTERVAL": "100ms"}) as collector:
        collector.send([Span("answer", attributes=version(f"m-{n}", "bot")) for n in range(30)], RESOURCE)

        wait_until(lambda: sum(calls(collector).values()) == 30, "all calls to be counted")
        by_version = samples(collector, CALLS)
        overflow = [value for labels, value in by_version if labels.get("otel_metric_overflow") == "true"]
        assert (len(by_version), overflow) == (11, [20])


@pytest.mark.parametrize("exporter", [HttpMetricExporter, GrpcMetricExporter])
def test_metrics_of_an_application_have_the_version_of_its_resource(
    run_collector: RunCollector, exporter: Callable[..., MetricExporter], caplog: pytest.LogCaptureFixture
) -> None:
    """No processor can stamp a metric: one process has one version. What a point says itself stays."""
    with run_collector({"APPLICATION_METRICS": "prometheus"}) as collector:
        is_http = exporter is HttpMetricExporter
        endpoint = {"endpoint": f"{collector.url}/v1/metrics"} if is_http else {"endpoint": collector.grpc_address}
        reader = PeriodicExportingMetricReader(
            exporter(**endpoint, **({} if is_http else {"insecure": True})), math.inf
        )
        resource = Resource({"service.name": "shop", "logged_model.id": "m-1"})
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        counter = meters.get_meter("app").create_counter("app.orders")
        counter.add(3)
        counter.add(2, {"logged_model.id": "m-own"})
        meters.force_flush()
        wait_until(lambda: samples(collector, "app_orders_total"), "the metric")
        found = {labels["logged_model_id"]: value for labels, value in samples(collector, "app_orders_total")}
        meters.shutdown()
    assert found == {"m-1": 3, "m-own": 2}
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_metrics_of_applications_are_taken_where_nothing_is_done_with_them(
    run_collector: RunCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with run_collector() as collector:
        reader = PeriodicExportingMetricReader(HttpMetricExporter(f"{collector.url}/v1/metrics"), math.inf)
        meters = MeterProvider([reader], shutdown_on_exit=False)
        meters.get_meter("app").create_counter("app.orders").add(1)
        meters.force_flush()
        meters.shutdown()
        assert "app_orders" not in collector.metrics()
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
