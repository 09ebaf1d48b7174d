# SPDX-License-Identifier: Apache-2.0
"""Jaeger 2, from its Go module, in memory and on badger: what it makes of a version, and the queries of its page."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

import needs
from backend.serving import command
from effort import some
from otel_loggedmodel.commands.diagnosis import backends
from otel_loggedmodel.commands.diagnosis.endpoint import endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline
from waiting import wait_until

from . import contract
from .application import PROCESSES, TRACES
from .running import REQUIRED, Process, Seen, Version, asked, send, typed

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_jaeger.py"
_MEMORY = "memory: {max_traces: 100000}"
_BADGER = "badger: {directories: {keys: DIRECTORY/keys, values: DIRECTORY/values}, ephemeral: false}"
_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: {level: none}
extensions:
  jaeger_storage:
    backends:
      one: {STORAGE}
  jaeger_query:
    storage: {traces: one}
    http: {endpoint: "127.0.0.1:${env:QUERY}"}
    grpc: {endpoint: "127.0.0.1:${env:QUERY_GRPC}"}
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:${env:OTLP}"}
processors:
  batch: {}
exporters:
  jaeger_storage_exporter: {trace_storage: one}
"""


def jaeger_binary() -> str:
    """What was built; nobody waits for it here."""
    outcome = subprocess.run(
        [sys.executable, str(_SCRIPT), "--print-path"], capture_output=True, text=True, timeout=60, check=False
    )
    if outcome.returncode != 0:
        needs.do_without("Jaeger", "make test-backends", required_by=REQUIRED)
    return outcome.stdout.strip()


@pytest.fixture(scope="module", params=some(["badger", "memory"], quick=2))
def storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def jaeger(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    directory = tmp_path_factory.mktemp("jaeger")
    kept = (_BADGER if storage == "badger" else _MEMORY).replace("DIRECTORY", str(directory))
    (directory / "config.yaml").write_text(_CONFIG.replace("STORAGE", kept), encoding="utf-8")
    command = [jaeger_binary(), "--config", str(directory / "config.yaml")]
    variables = {"QUERY": "{query}", "QUERY_GRPC": "{query_grpc}", "OTLP": "{otlp}"}
    ready = "http://127.0.0.1:{query}/api/services"
    with Process(command, directory, ["query", "query_grpc", "otlp"], ready, variables) as process:
        yield process


@pytest.fixture(scope="module")
def sent(jaeger: Process, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    return send(tmp_path_factory.mktemp("application"), "otlp", jaeger.url("otlp"), "announce")


@pytest.fixture(scope="module")
def shown(jaeger: Process) -> contract.Shown:
    def of(trace_id: str) -> Sequence[Seen]:
        found = (asked(f"{jaeger.url('query')}/api/traces/{trace_id}") or {}).get("data") or []
        return [seen(span) for trace in found for span in trace["spans"]]

    return of


def seen(span: dict[str, Any]) -> Seen:
    references = span.get("references", [])
    parents = [one["spanID"] for one in references if one["refType"] == "CHILD_OF"]
    links = [one["traceID"] for one in references if one["refType"] == "FOLLOWS_FROM"]
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    return Seen(
        span["spanID"], parents[0] if parents else "", span["operationName"], span["startTime"] * 1000, tags, links
    )


def test_the_traces_of_both_versions_are_there_with_links(sent: dict[str, Version], shown: contract.Shown) -> None:
    for version in sent.values():
        contract.check_spans(shown, version, keeps_links=True)


def test_a_result_that_comes_later_is_in_its_trace(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_result(shown, sent["first"])


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_version_is_whole(sent: dict[str, Version], shown: contract.Shown, name: str) -> None:
    contract.check_version(shown, sent[name])


def test_every_announcement_is_kept_and_is_one_version(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_announcements(shown, sent["first"], roots=1 + PROCESSES)


def test_it_does_not_warn_of_spans_that_take_no_time(jaeger: Process, sent: dict[str, Version]) -> None:
    for trace_id in (sent["first"].trace_id, sent["first"].traces[0]):
        for trace in asked(f"{jaeger.url('query')}/api/traces/{trace_id}")["data"]:
            for span in trace["spans"]:
                assert not [said for said in span.get("warnings") or [] if "duration" in said.lower()]


def test_badger_loses_a_long_value_and_says_that_it_has_it(
    jaeger: Process, storage: str, shown: contract.Shown
) -> None:
    exporter = OTLPSpanExporter(f"{jaeger.url('otlp')}/v1/traces")
    provider = TracerProvider(resource=Resource({"service.name": "other"}))
    spans = []
    for size in (66_000, 100):
        span = provider.get_tracer("other").start_span("work", attributes={"text": "x" * size})
        span.end()
        spans.append(f"{span.get_span_context().trace_id:032x}")
        assert exporter.export([span]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    wait_until(lambda: shown(spans[1]), "the short one")
    assert bool(shown(spans[0])) == (storage == "memory")


def test_the_queries_of_its_page(jaeger: Process, sent: dict[str, Version]) -> None:
    version, other = sent["first"], sent["second"]
    where = {"JAEGER": jaeger.url("query"), "VERSION": version.id}

    def found(title: str) -> set[str]:
        return {trace["traceID"] for trace in typed("jaeger", title, **where)["data"]}

    wait_until(lambda: len(found("Traces of a version")) == TRACES, "the traces")
    assert found("Traces of a version") == set(version.traces)
    assert found("Versions") == {version.trace_id, other.trace_id}
    assert found("What a version is made of") == {version.trace_id}
    assert found("Scores") == {version.traces[0]}


def test_it_is_known_to_doctor_and_its_traces_can_be_imported(
    jaeger: Process, sent: dict[str, Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = jaeger.url("query")
    monkeypatch.setattr(backends, "PORTS", dict.fromkeys(backends.PORTS, 1) | {"jaeger": int(query.rpartition(":")[2])})
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.url("otlp"))
    assert backends.recognise(endpoint_of_environment(), Deadline(30)).text.startswith("Jaeger ")
    store = f"chdb://{tmp_path / 'store'}"
    for stored in (True, False):
        done = command("import", "jaeger", query, "--since", "1h", "--json", store=store)
        assert done.returncode == 0, done
        assert (json.loads(done.stdout)["carried"]["spans"] > 0) is stored
    models = json.loads(command("models", "--json", store=store).stdout)["versions"]
    assert {(model["model_id"], model["traces"], len(model["params"])) for model in models} == {
        (version.id, len(version.traces), len(version.params)) for version in sent.values()
    }


def test_after_a_restart_it_knows_what_its_storage_keeps(
    jaeger: Process, storage: str, sent: dict[str, Version], shown: contract.Shown
) -> None:
    jaeger.restart()
    for version in sent.values():
        if storage == "badger":
            contract.check_version(shown, version)
        else:
            assert not shown(version.trace_id)
