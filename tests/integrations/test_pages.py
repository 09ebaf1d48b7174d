# SPDX-License-Identifier: Apache-2.0
"""What the pages of docs/ print works as it is printed."""

import os
import re
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import otel_loggedmodel
from collector.conftest import collector_binary, run_collector  # noqa: F401 - fixtures
from collector.otlp import REMOTE_PARENT, Span, send_json
from integrations.applications import instrumenting
from integrations.servers import BIN, Server, free_port, telemetry_to
from integrations.situations import DOCS, Page, run_in_shell
from integrations.telemetry import is_entry, is_record, reference, version_on
from otlp_receiver import OtlpReceiver
from waiting import wait_until

APPLICATION = """
from opentelemetry import trace

with trace.get_tracer("app").start_as_current_span("request"):
    trace.get_tracer("app").start_span("step").end()
"""


def versions(receiver: OtlpReceiver) -> dict[str, object]:
    return {span.name: version_on(span) for span in receiver.spans() if not is_record(span)}


def events(receiver: OtlpReceiver) -> list[object]:
    return [span.attributes["logged_model.event"] for span in receiver.spans() if is_record(span)]


def test_every_page_is_listed_and_every_printed_file_is_run_here() -> None:
    # The first page of the site, and the reference that is made of docstrings, are for the site alone.
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md", "index.md", "api.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text())) == pages
    folders = (
        Path(__file__).parent,
        Path(__file__).parent.parent / "with_mlflow",
        Path(__file__).parent.parent / "vendors",
    )
    tests = "".join(path.read_text() for folder in folders for path in folder.glob("test_*.py"))
    elsewhere = "".join(path.read_text() for path in Path(__file__).parent.parent.rglob("test_*.py"))
    for page in pages:
        # Pages that print nothing to run need no test, and some are run by tests of another room.
        is_run = f'Page("{page.removesuffix(".md")}")' in tests or page in elsewhere
        assert is_run or not re.search(r"^```(?!text)\w", (DOCS / page).read_text(), re.MULTILINE), page
        for name in Page(page.removesuffix(".md")).files:
            assert f'"{name}"' in elsewhere or name.removesuffix(".py") in elsewhere, (page, name)


def test_links_between_pages_lead_somewhere() -> None:
    for path in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), (path.name, target)


# opentelemetry-instrument


@pytest.mark.parametrize("block", [0, 1], ids=["an id", "a description"])
def test_opentelemetry_instrument(tmp_path, block: int) -> None:
    start = Page("opentelemetry-instrument").console
    (tmp_path / "app.py").write_text(APPLICATION)
    lines = start[0] if block == 0 else start[1] + "opentelemetry-instrument python app.py"
    with OtlpReceiver() as receiver:
        run_in_shell(lines, tmp_path, telemetry_to(receiver.endpoint))
        stamped = versions(receiver)
        recorded = events(receiver)
    expected = (
        "my-agent-v1.0"
        if block == 0
        else otel_loggedmodel.create_external_model(
            "my-agent", params={"llm": "gpt-4o", "temperature": "0.7"}, tags={"team": "support"}
        ).model_id
    )
    assert stamped == {"request": expected, "step": expected}
    assert recorded == (["activated"] if block == 0 else ["created", "activated"])


# A provider of one's own


def test_own_provider(tmp_path) -> None:
    Page("own-provider").write_to(tmp_path)
    with OtlpReceiver() as receiver:
        printed = run_in_shell("python app.py", tmp_path, telemetry_to(receiver.endpoint))
        assert versions(receiver) == {"answer": printed.strip()}
        assert events(receiver) == ["created", "activated"]
        assert {span.resource["service.name"] for span in receiver.spans()} == {"shop"}


def test_a_provider_that_a_vendor_made(tmp_path) -> None:
    Page("own-provider").write_to(tmp_path, ["vendor.py"])
    with OtlpReceiver() as receiver:
        run_in_shell("python vendor.py", tmp_path, telemetry_to(receiver.endpoint))
        assert versions(receiver) == {"answer": reference("my-agent")}
        assert events(receiver) == ["created", "activated"]


# Durable delivery


def test_a_backend_that_is_away_and_a_process_that_comes_after(tmp_path) -> None:
    start = Page("durable-delivery").console[0]
    (tmp_path / "app.py").write_text(APPLICATION)
    home = {"HOME": str(tmp_path)}
    with OtlpReceiver() as receiver:
        endpoint = receiver.endpoint
    # Nobody listens there now.
    run_in_shell(start, tmp_path, telemetry_to(endpoint, **instrumenting()) | home)
    assert len(list((tmp_path / "spool" / "my-agent").glob("*/*/spans_*"))) == 1
    with OtlpReceiver(receiver.port) as receiver:
        run_in_shell(start, tmp_path, telemetry_to(endpoint, **instrumenting()) | home)
        assert sorted(span.name for span in receiver.spans()) == ["request", "request", "step", "step"]
    assert list((tmp_path / "spool" / "my-agent").glob("*/*/spans_*")) == []


# Declarative configuration


@pytest.mark.parametrize("name", ["otel.yaml", "exporter.yaml"])
def test_declarative_configuration(tmp_path, name: str) -> None:
    page = Page("declarative-configuration")
    (tmp_path / "otel.yaml").write_text(page.files[name])
    (tmp_path / "app.py").write_text(APPLICATION)
    with OtlpReceiver() as receiver:
        run_in_shell(page.console[0], tmp_path, telemetry_to(receiver.endpoint, **instrumenting()))
        assert versions(receiver) == {"request": "my-agent-v1.0", "step": "my-agent-v1.0"}
        assert events(receiver) == ["activated"]


def test_declarative_configuration_of_propagation(tmp_path) -> None:
    page = Page("declarative-configuration")
    (tmp_path / "otel.yaml").write_text(page.files["propagating.yaml"])
    (tmp_path / "app.py").write_text(
        """
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind
for host in ("search", "a.internal", "evil.example"):
    with trace.get_tracer("app").start_as_current_span(host, kind=SpanKind.CLIENT, attributes={"server.address": host}):
        headers = {}
        propagate.inject(headers)
        print(headers.get("baggage"))
"""
    )
    with OtlpReceiver() as receiver:
        printed = run_in_shell(page.console[0], tmp_path, telemetry_to(receiver.endpoint, **instrumenting()))
    assert printed.split() == ["logged_model.id=my-agent-v1.0"] * 2 + ["None"]


# Only the Collector


def test_collector_only(tmp_path, collector_binary: Path) -> None:  # noqa: F811
    Page("collector-only").write_to(tmp_path)
    port = free_port()
    with OtlpReceiver() as receiver:
        process = subprocess.Popen(
            [collector_binary, "--config=collector.yaml", "--config=yaml:service::telemetry::metrics::level: none"],
            cwd=tmp_path,
            env={"LISTEN": f"127.0.0.1:{port}", "BACKEND": receiver.endpoint},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            root = Span("root")
            spans = [
                root,
                root.child("child"),
                root.child("own", attributes={"logged_model.id": "v9"}),
                root.child("gen_ai.evaluation.result"),
                Span("behind a call", parent_id="0" * 15 + "1", flags=REMOTE_PARENT),
            ]
            wait_until(
                lambda: sent(port, spans, {"service.name": "shop", "service.version": "2.1.0"}), "it takes spans"
            )
            sent(port, [Span("of nobody")], {"service.name": "cron"})
            received = receiver.wait_for(
                lambda spans: {span.name for span in spans} >= {"root", "of nobody"}, timeout=60
            )
        finally:
            process.terminate()
            process.wait(20)
    found = {
        span.name: (span.attributes.get("logged_model.id"), span.attributes.get("logged_model.name"))
        for span in received
    }
    assert found == {
        "root": ("shop-2.1.0", "shop-2.1.0"),
        "child": ("shop-2.1.0", None),
        "own": ("v9", None),
        "gen_ai.evaluation.result": (None, None),
        "behind a call": ("shop-2.1.0", "shop-2.1.0"),
        "of nobody": (None, None),
    }


def sent(port: int, spans: list[Span], resource: dict[str, str]) -> bool:
    try:
        send_json(f"http://127.0.0.1:{port}", spans, resource)
    except OSError:
        return False
    return True


# A/B routing


def test_ab_routing(tmp_path) -> None:
    page = Page("ab-routing")
    page.write_to(tmp_path)
    (command,) = [line for line in page.console[0].splitlines() if line]
    environment, _, command = command.partition(" ")
    variable, _, value = environment.partition("=")
    current, candidate = re.search(r"compare (\S+) (\S+)", page.console[1]).groups()
    users = [f"user-{number}" for number in range(60)]
    with OtlpReceiver() as receiver:
        settings = telemetry_to(
            receiver.endpoint,
            **instrumenting("fastapi"),
            PATH=f"{BIN}:{os.environ['PATH']}",
            **{variable: value, "OTEL_PYTHON_EXCLUDED_URLS": "openapi", "OTEL_BSP_SCHEDULE_DELAY": "100"},
        )
        arguments = ["env", *command.split()]  # as it is printed, on a port that is free
        with (
            Server(lambda port: [*arguments, "--port", str(port)], tmp_path, settings, ready="/openapi.json") as server,
            ThreadPoolExecutor(8) as threads,
        ):
            answers = dict(
                zip(users, threads.map(lambda user: server.get("/answer", **{"x-user": user}), users), strict=True)
            )
            # Of each request the server's span, and two for what it sent.
            receiver.wait_for(
                lambda spans: len([span for span in spans if not is_record(span)]) >= 3 * len(users), timeout=60
            )
        spans = [span for span in receiver.spans() if not is_record(span)]
    for user, answer in answers.items():
        is_candidate = zlib.crc32(user.encode()) % 100 < 10
        assert answer["version"].startswith(candidate if is_candidate else current)
    chosen = sorted(answer["version"] for answer in answers.values())
    assert len(set(chosen)) == 2
    entries = [span for span in spans if span.kind == "SERVER"]
    assert sorted(str(version_on(span)) for span in entries) == chosen
    assert all(is_entry(span) for span in entries)
    versions_of_traces = {span.trace_id: version_on(span) for span in entries}
    assert [span for span in spans if version_on(span) != versions_of_traces[span.trace_id]] == []


# Another language; versions that cross services are in test_across_services.py


def test_a_resource_attribute_is_enough(run_collector) -> None:  # noqa: F811
    (line,) = Page("another-language").console
    (_, name, value) = re.fullmatch(r'export (\w+)="(.*)"\n', line).group(0, 1, 2)
    assert name == "OTEL_RESOURCE_ATTRIBUTES"
    with run_collector() as collector:
        settings = telemetry_to(collector.url, **instrumenting(without=["loggedmodel"]), **{name: value})
        # Any SDK: here Python's, without this library.
        program = [BIN / "opentelemetry-instrument", sys.executable, "-c", APPLICATION]
        subprocess.run(program, env=settings, check=True, timeout=60)
        wait_until(lambda: len(collector.spans()) == 2, "the spans came out")
        found = {
            span.name: (span.attributes.get("logged_model.id"), span.attributes.get("logged_model.name"))
            for span in collector.spans()
        }
    assert found == {"request": ("my-agent-v1.0", "my-agent-v1.0"), "step": ("my-agent-v1.0", None)}
