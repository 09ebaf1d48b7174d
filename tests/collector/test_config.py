# SPDX-License-Identifier: Apache-2.0
"""collector-config.yaml: it is valid with any of its switches, and says what they are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from . import otlp
from .conftest import RunCollector
from .otlp import Span
from .running import CONFIG, PREFIX, Collector, clean_environment

SWITCHES = {
    "nothing": {},
    "clickhouse": {"CLICKHOUSE": "clickhouse"},
    "clickhouse elsewhere": {
        "CLICKHOUSE": "clickhouse",
        "CLICKHOUSE_ENDPOINT": "https://clickhouse.example:8443",
        "CLICKHOUSE_DATABASE": "otel",
        "CLICKHOUSE_USERNAME": "writer",
        # What is a number, a list or an expansion to YAML or to the Collector is a password all the same.
        "CLICKHOUSE_PASSWORD": "0123",
        "CLICKHOUSE_CREATE_SCHEMA": "false",
        "CLICKHOUSE_TTL": "720h",
    },
    "file": {"FILE": "file", "LOGS_FILE": "file/logs"},
    "otlp": {"OTLP": "otlp_http"},
    "otlp elsewhere": {
        "OTLP": "otlp_http",
        "OTLP_ENDPOINT": "https://otlp.example/base",
        "OTLP_HEADERS": "{authorization: Bearer abc, x-scope: '7'}",
    },
    "silence": {"LOG": "nop"},
    "sampling": {"SAMPLING": "tail_sampling"},
    "a small share": {"SAMPLING": "tail_sampling", "KEEP_PERCENT": "0.5", "DECISION_WAIT": "2m"},
    "fsync": {"QUEUE_FSYNC": "true", "QUEUE_BYTES": "5000000"},
}
SWITCHES["everything"] = {name: value for settings in SWITCHES.values() for name, value in settings.items()}

SENDERS: dict[str, Callable[[Collector, Iterable[Span]], None]] = {
    "http-json": lambda collector, spans: otlp.send_json(collector.url, spans),
    "http-protobuf": lambda collector, spans: otlp.send_protobuf(collector.url, spans),
    "grpc": lambda collector, spans: otlp.send_grpc(collector.grpc_address, spans),
}


@pytest.mark.parametrize("settings", SWITCHES.values(), ids=SWITCHES)
def test_is_valid(collector_binary: Path, tmp_path: Path, settings: dict[str, str]) -> None:
    outcome = subprocess.run(
        [str(collector_binary), "validate", f"--config={CONFIG}"],
        cwd=tmp_path,
        env={**clean_environment(settings), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_a_wrong_switch_is_refused_by_name(collector_binary: Path) -> None:
    outcome = subprocess.run(
        [str(collector_binary), "validate", f"--config={CONFIG}"],
        env=clean_environment({"CLICKHOUSE": "on"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert 'references exporter "on" which is not configured' in outcome.stderr


def test_its_table_has_every_setting_with_its_default() -> None:
    text = CONFIG.read_text(encoding="utf-8")
    header, _, body = text.partition("\nreceivers:")
    documented = dict(re.findall(r"^#   ([A-Z][A-Z_]+) {2,}(\S+)", header, re.MULTILINE))
    used = dict(re.findall(rf"\$\{{env:{PREFIX}([A-Z_]+):-(\$\{{.+?\}}[^}}]*|[^}}]*)\}}", body))

    assert documented.pop("QUEUE_DIR") == used.pop("QUEUE_DIR").replace("${env:HOME:-.}", "~")
    in_words = {"": "(empty)", "[]": "(none)"}
    assert documented == {name: in_words.get(default, default) for name, default in used.items()}


def test_starts_with_nothing_configured(run_collector: RunCollector) -> None:
    with run_collector({"FILE": "nop", "LOG": "debug"}) as collector:
        collector.send([Span("work")])

        assert '"spans": 1' in collector.log
        assert not collector.output.exists()
        assert (collector.directory / "queue").stat().st_mode & 0o007 == 0
    # What is deprecated would be warned of.
    assert [line for line in collector.log.splitlines() if "\tinfo\t" not in line] == []


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_spans_have_come_out_when_the_sender_is_answered(
    run_collector: RunCollector, send: Callable[[Collector, Iterable[Span]], None]
) -> None:
    root = Span("GET /answer", kind=otlp.SERVER, attributes={"n": 3, "x": 0.5, "yes": True, "text": "ä"}, error=True)
    child = root.child("retrieve", seconds=0.25)

    with run_collector() as collector:
        send(collector, [root, child])

        assert {(span.name, span.trace_id, span.span_id, span.parent_id) for span in collector.spans()} == {
            ("GET /answer", root.trace_id, root.span_id, ""),
            ("retrieve", root.trace_id, child.span_id, root.span_id),
        }
        (arrived,) = (span for span in collector.spans() if span.name == "GET /answer")
        assert (arrived.kind, arrived.error, arrived.attributes) == (otlp.SERVER, True, root.attributes)


def test_the_folder_of_the_file_is_made(run_collector: RunCollector, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "spans.jsonl"

    with run_collector({"FILE_PATH": str(path)}) as collector:
        collector.send([Span("work")])

        assert [span.name for span in otlp.read_file(path)] == ["work"]
