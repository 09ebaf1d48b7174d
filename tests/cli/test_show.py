# SPDX-License-Identifier: Apache-2.0
"""The command `show`."""

import json
from collections.abc import Callable

from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.results import VersionMetrics
from otel_loggedmodel.store.version_results import HistoryEntry, Version, VersionDetail

from .doubles import HOSTILE, V1, metrics

Run = Callable[..., Result]
TIME = 1_767_272_405_000
VERSION = Version(
    model_id=V1,
    name="support-agent",
    model_type="rag",
    creation_timestamp=TIME,
    params={"llm": "gpt-5"},
    tags={"team": "support", "vcs.ref.head.revision": "0f3c9a1", "vcs.ref.head.name": "main"},
    references=("m-ref",),
)
HISTORY = [
    HistoryEntry(kind="created", time_ms=TIME, service="ci", params={"llm": "gpt-5"}),
    HistoryEntry(kind="activated", time_ms=TIME + 1000, service="api", resource={"host.name": "web-1"}),
    HistoryEntry(kind="activated", time_ms=TIME + 9000, service="api", resource={"host.name": "web-2"}),
    HistoryEntry(kind="updated", time_ms=TIME + 5000, service="ci", tags={"reviewed": "yes"}, tags_deleted=["old"]),
    HistoryEntry(kind="activated", time_ms=TIME + 6000, service="worker"),
]


def test_a_version(run: Run, reader: MemoryReader) -> None:
    reader.details = {"support-agent": VersionDetail(version=VERSION, metrics=metrics(V1), history=HISTORY)}
    lines = [line.strip() for line in run("show", "support-agent").stdout.splitlines()]
    assert lines[0] == "support-agent  ready"
    squeezed = [" ".join(line.split()) for line in lines]
    for line in (
        f"id {V1}",
        "type rag",
        "commit 0f3c9a1",
        "branch main",
        "created 2026-01-01 13:00:05Z",
        "also counted m-ref",
        "llm gpt-5",
        "team support",
        "latency p95 2,000 ms",
        "2026-01-01 13:00:05Z created ci",
        "2026-01-01 13:00:06Z activated api 2 times, last 2026-01-01 13:00:14Z, on web-1, web-2",
        "2026-01-01 13:00:10Z updated ci reviewed=yes, old removed",
        "2026-01-01 13:00:11Z activated worker once",
    ):
        assert line in squeezed
    assert len([line for line in squeezed if " activated api" in line]) == 1
    assert f"otel-loggedmodel env {V1}" in lines[-1]


def test_a_version_known_from_its_spans_alone(run: Run, reader: MemoryReader) -> None:
    version = Version(model_id="v1.0", registered=False)
    reader.details = {"v1.0": VersionDetail(version=version, metrics=VersionMetrics(model_id="v1.0", traces=2))}
    output = run("show", "v1.0").stdout
    assert "unregistered: known from its spans alone" in output
    assert "Params" not in output


def test_json(run: Run, reader: MemoryReader) -> None:
    reader.details = {V1: VersionDetail(version=VERSION, metrics=metrics(V1), history=HISTORY)}
    detail = json.loads(run("show", V1, "--json").stdout)
    assert set(detail) == {"version", "metrics", "history", "previous"}
    assert detail["history"][3]["tags_deleted"] == ["old"]


def test_an_unknown_version(run: Run, reader: MemoryReader) -> None:
    reader.details = {"support-agent": VersionDetail(version=VERSION, metrics=metrics(V1))}
    result = run("show", "suport-agent", code=2)
    assert result.stderr == ("otel-loggedmodel: there is no version 'suport-agent'\nDid you mean support-agent?\n")


def test_hostile_texts(run: Run, reader: MemoryReader) -> None:
    texts = {HOSTILE: HOSTILE}
    version = Version(model_id=HOSTILE, name=HOSTILE, params=texts, tags=texts, services=(HOSTILE,), model_type=HOSTILE)
    history = [
        HistoryEntry(kind=HOSTILE, time_ms=2**62, service=HOSTILE, tags=texts, tags_deleted=[HOSTILE], status=HOSTILE),
        HistoryEntry(kind="activated", time_ms=-5, service=HOSTILE, resource={"host.name": HOSTILE}),
    ]
    reader.details = {"v": VersionDetail(version=version, metrics=metrics(HOSTILE, HOSTILE), history=history)}
    output = run("show", "v").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(output)
    assert not [line for line in output.splitlines() if line.lstrip().startswith("FORGED")]
