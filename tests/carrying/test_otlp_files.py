# SPDX-License-Identifier: Apache-2.0
"""`import otlp`: files that grow, are cut, damaged or of another kind, and what a second run does with them."""

import hashlib
import json
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.sending import Traces
from backend.serving import command
from cli.terminal import environment
from effort import only_in_full, some
from log_requests import in_json, record, request
from otel_loggedmodel.commands.carrying import sink as sinks
from otel_loggedmodel.commands.carrying.otlp_files import FileImport, ImportedFile
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Sink
from otel_loggedmodel.commands.carrying.stream import TAIL_BYTES
from otel_loggedmodel.commands.exchange.filling import Filled
from otel_loggedmodel.commands.otlp_lines import line_of
from otel_loggedmodel.store.reading import StoreUnavailableError, TraceFilter
from otel_loggedmodel.store.writing import RefusedError
from waiting import wait_until

Import = Callable[..., ImportedFile]


@pytest.fixture
def import_file(filled: Filled, tmp_path: Path) -> Import:
    def run(path: Path, *, again: bool = False, all_logs: bool = False, into: Filled = filled) -> ImportedFile:
        positions = Positions(f"chdb://{tmp_path}/store")
        work = FileImport(lambda: Sink(into, all_logs=all_logs), positions, lambda *_: None, again=again)
        return work.run(path)

    return run


def traces_of(filled: Filled, version: str) -> int:
    return len(filled.reader.traces(version, TraceFilter(limit=1000)))


def lines(version: str, requests: int = 3, spans: int = 4, seed: int = 1) -> list[bytes]:
    traces = Traces(version, seed)
    return [line_of(traces.request(spans)[1]).encode() + b"\n" for _ in range(requests)]


@pytest.mark.parametrize(
    "name",
    some(["lengths-zstd.json", "lines.jsonl", "lengths.pb", "lengths-zstd.pb", "whole.jsonl.zst", "whole.pb.zst"], 2),
)
def test_files_of_a_real_collector_are_read(filled: Filled, import_file: Import, recorded: Path, name: str) -> None:
    result = import_file(recorded / name)
    assert (result.spans, result.log_records, result.is_whole) == (2, 1, True)
    (trace,) = filled.reader.traces("m-0123456789abcdef0123456789abcdef")
    assert (trace.service, trace.error, dict(trace.scores)) == ("shop", False, {"helpful": 0.5})
    spans = filled.reader.trace(trace.trace_id).spans
    assert [(span.name, span.status) for span in spans] == [("answer", "Unset"), ("call", "Error")]
    assert dict(spans[0].attributes) == {"b": "true", "f": "0.5", "logged_model.id": trace.model_id, "n": "3"}


def test_a_file_that_grows_is_imported_piece_by_piece(filled: Filled, import_file: Import, tmp_path: Path) -> None:
    first, second, third = lines("grows")
    path = tmp_path / "grows.jsonl"
    path.write_bytes(first)
    assert (import_file(path).spans, import_file(path).spans) == (4, 0)
    path.write_bytes(first + second + third[:100])
    cut = import_file(path)
    assert (cut.spans, cut.before, cut.is_whole) == (4, 4, False)
    assert cut.cut == f"the last line, from byte {len(first + second):,} on, is cut off after 100 bytes"
    moved = path.rename(tmp_path / "rotated.jsonl")
    moved.write_bytes(first + second + third)
    mended = import_file(moved)
    assert (mended.spans, mended.before, mended.is_whole) == (4, 8, True)
    assert traces_of(filled, "grows") == 12


def test_a_file_of_50_gb_is_gone_on_with_where_an_earlier_import_was(
    filled: Filled, import_file: Import, tmp_path: Path
) -> None:
    first, second, third = lines("large")
    path = tmp_path / "large.jsonl"
    path.write_bytes(first)
    assert import_file(path).spans == 4
    # What it had between the first request and the last two was imported, too: nothing reads that hole again.
    there = 50 * 10**9
    with path.open("r+b") as file:
        file.seek(there - len(second))
        file.write(second + third)
    (remembered,) = (tmp_path / "store").rglob("*.json")
    position = json.loads(remembered.read_text(encoding="utf-8"))
    tail = second[-min(len(second), TAIL_BYTES) :]
    digest = hashlib.sha256(tail).hexdigest()
    assert len(position["digest"]) == len(digest)
    moved = position | {"offset": there, "tail": len(tail), "digest": digest, "items": 8}
    remembered.write_text(json.dumps(moved), encoding="utf-8")
    result = import_file(path)
    assert (result.spans, result.before, result.is_whole) == (4, 8, True)
    assert path.stat().st_size == there + len(third)


def test_a_file_that_was_replaced_is_imported_anew(filled: Filled, import_file: Import, tmp_path: Path) -> None:
    first, second, third = lines("replaced")
    path = tmp_path / "replaced.jsonl"
    path.write_bytes(first + second)
    assert import_file(path).spans == 8
    path.write_bytes(first + third + third)
    assert (import_file(path).spans, traces_of(filled, "replaced")) == (12, 12)
    assert import_file(path, again=True).spans == 12
    assert traces_of(filled, "replaced") == 12


def test_what_is_wrong_within_is_named_and_the_rest_is_imported(
    filled: Filled, import_file: Import, tmp_path: Path
) -> None:
    first, second, _ = lines("within")
    odd = json.loads(second)
    odd["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["traceId"] = "xyz"
    path = tmp_path / "within.jsonl"
    content = [first, b'{"hello": "you"}\n', b"no json at all\n", json.dumps(odd).encode() + b"\n"]
    path.write_bytes(b"".join(content))
    result = import_file(path)
    assert (result.spans, result.refused, result.is_whole) == (7, 3, False)
    place = len(first)
    assert result.reasons[0] == f"byte {place:,}: it has neither resourceSpans nor resourceLogs, but hello"
    assert result.reasons[1].startswith(f"byte {place + 17:,}: it is no JSON")
    assert "spans[1].traceId is the text 'xyz', not hex digits" in result.reasons[2]
    assert traces_of(filled, "within") == 7


def test_log_records_without_a_version_are_kept_where_they_are_asked_for(import_file: Import, tmp_path: Path) -> None:
    plain, of_version = request(record("plain")), request(record("said", attributes={"logged_model.id": "logs"}))
    path = tmp_path / "logs.jsonl"
    path.write_bytes(in_json(plain) + b"\n" + in_json(of_version) + b"\n" + b'{"resourceMetrics":[]}\n')
    result = import_file(path)
    assert (result.log_records, result.not_kept, result.others, result.is_whole) == (1, 1, 1, True)
    assert import_file(path, again=True, all_logs=True).log_records == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html><title>Sign in</title></html>", "it is HTML or XML"),
        (b'{"event": "login"}\n{"event": "logout"}\n', "neither resourceSpans nor resourceLogs, but event"),
        (b'{"data": [{"traceID": "1"}], "total": 0}', "`otel-loggedmodel import jaeger` reads that"),
        (struct.pack(">I", 3) + b"\x0a\x63z", "it is no request of OTLP"),
    ],
)
def test_a_file_of_another_kind_is_named(import_file: Import, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    result = import_file(path)
    assert words in result.wrong
    assert (result.spans, result.is_whole) == (0, False)
    # It is not taken for known afterwards.
    assert import_file(path).wrong == result.wrong


def test_a_file_that_cannot_be_read_is_named(import_file: Import, tmp_path: Path) -> None:
    assert import_file(tmp_path / "away").wrong == "it cannot be read: No such file or directory"
    assert import_file(tmp_path).wrong == "it cannot be read: Is a directory"


def test_large_requests_are_stored_in_parts(
    filled: Filled, import_file: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_BATCH_SPANS", 10)
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"".join(lines("large", 2, 35)))
    assert import_file(path).spans == 70
    assert traces_of(filled, "large") == 70


class Failing:
    """A writer that takes some requests, and then nothing more; or refuses those with a text."""

    def __init__(self, writer: Any, left: int = 1_000_000, refused: bytes = b"nothing") -> None:
        self._writer = writer
        self._left = left
        self._refused = refused

    def insert(self, requests: Any) -> None:
        if any(self._refused in one for one in requests):
            raise RefusedError("it is too odd")
        if self._left <= 0:
            raise StoreUnavailableError("the disk is gone")
        self._left -= 1
        self._writer.insert(requests)


def test_a_store_that_goes_away_costs_nothing(
    filled: Filled, import_file: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_BATCH_SPANS", 8)
    path = tmp_path / "away.jsonl"
    path.write_bytes(b"".join(lines("away", 6)))
    with pytest.raises(StoreUnavailableError):
        import_file(path, into=Filled(filled.reader, Failing(filled.writer, 2), filled.log_writer))
    result = import_file(path)
    assert (result.before, result.spans, traces_of(filled, "away")) == (16, 8, 24)


def test_what_the_store_refuses_costs_no_other_request(filled: Filled, import_file: Import, tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    path.write_bytes(b"".join([*lines("refused"), *lines("refused-not", 2, seed=2), *lines("refused", 1, seed=3)]))
    writer = Failing(filled.writer, refused=b"refused-not")
    result = import_file(path, into=Filled(filled.reader, writer, filled.log_writer))
    assert (result.spans, result.refused, traces_of(filled, "refused")) == (16, 8, 16)
    assert result.reasons == ["the store refuses a request: it is too odd"]


def test_the_command_says_what_it_did(tmp_path: Path, recorded: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_bytes((recorded / "lines.jsonl").read_bytes() + b'{"resourceSp')
    store = f"chdb://{tmp_path / 'store'}"
    done = command("import", "otlp", path, store=store)
    assert (done.returncode, done.stdout) == (1, f"{path}: 2 spans imported, 1 log record imported\n")
    assert f"{path} is not whole: the last line, from byte 1,455 on, is cut off after 12 bytes" in done.stderr
    shutil.copy(recorded / "lines.jsonl", path)
    done = command("import", "otlp", path, tmp_path / "away", store=store)
    assert (done.returncode, done.stdout) == (2, f"{path}: 0 spans imported, 3 were imported before\n")
    assert f"{tmp_path / 'away'} is not imported: it cannot be read" in done.stderr


def _was_killed_midway(arguments: list[str], store: Path) -> bool:
    """Run an import until it has stored something, and kill it; whether it had still something to do."""

    def known() -> list[bytes]:
        return [path.read_bytes() for path in store.glob("otel-loggedmodel-imports/*.json")]

    before = known()
    process = subprocess.Popen([sys.executable, "-m", "otel_loggedmodel", *arguments], env=environment(TZ="UTC"))
    wait_until(lambda: process.poll() is not None or known() != before, "the import to store something")
    was_busy = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return was_busy


@only_in_full
def test_an_import_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    path, store = tmp_path / "killed.jsonl", tmp_path / "store"
    path.write_bytes(b"".join(lines("killed", 60, 500)))
    arguments = ["import", "otlp", str(path), "--store", f"chdb://{store}"]
    kills = sum(_was_killed_midway(arguments, store) for _ in range(3))
    assert kills
    done = command(*arguments, "--json")
    assert done.returncode == 0, done
    (told,) = json.loads(done.stdout)["files"]
    assert told["before"] > 0
    # All is there, and what was stored twice counts once.
    shown = json.loads(command("show", "killed", "--json", store=f"chdb://{store}").stdout)
    assert shown["version"]["traces"] == 30_000
