# SPDX-License-Identifier: Apache-2.0
"""Two releases of the library with one directory for what waits, as in a rolling deployment: nothing is lost.

The other release is an earlier commit of this repository, whose files are put beside these.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.earlier import ROOT, work_tree
from needs import do_without

from .far_end import Answer, FarEnd, HttpFarEnd

EARLIER = "79eb11f43ff36ba930ee61a969ddb2ef9e8c5212"
AWAY = Answer(status=503)
# Uses the public API alone, so that every release runs it. It hands in its spans, says so, and ends as it is told:
# by a crash, or after it has delivered what it can, what others have left included.
PROGRAM = """
import os, sys, time
import otel_loggedmodel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

assert otel_loggedmodel.__file__.startswith(sys.argv[1])
name, count = sys.argv[2], int(sys.argv[3])
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
exporter = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter(timeout=60))
provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=4))
otel_loggedmodel.set_active_model(name="agent")
tracer = provider.get_tracer("x")
for number in range(count):
    tracer.start_span(f"{name}-{number}").end()
provider.force_flush(60_000)
print("handed in", flush=True)
if sys.stdin.readline() == "crash\\n":
    os._exit(0)
provider.shutdown()
"""

# What `otel-loggedmodel spool status` shows, without what the command needs.
SURVEY = """
import json, sys
from pathlib import Path
try:
    from otel_loggedmodel.delivery.spool_survey import survey
except ImportError:
    from otel_loggedmodel.spool_survey import survey
# Earlier releases take the notes of what was announced for a destination for which nothing waits.
(found,) = (found for found in survey(Path(sys.argv[1])) if not found.directory.name.startswith("."))
print(json.dumps([[owner.is_running, owner.spans, owner.newer] for owner in found.owners]))
"""


@pytest.fixture(scope="module")
def releases() -> Iterator[dict[str, Path]]:
    """Where the files of each release are."""
    try:
        with work_tree(EARLIER) as earlier:
            yield {"earlier": earlier, "this": ROOT}
    except (ValueError, FileNotFoundError) as error:
        do_without("the history of this repository, for an earlier release", f"git fetch --unshallow ({error})")


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with HttpFarEnd() as far_end:
        yield far_end


class Application:
    """A process of one release."""

    def __init__(self, tree: Path, name: str, spans: int, spool: Path, far_end: FarEnd) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tree), name, str(spans)],
            env={
                **os.environ,
                "PYTHONPATH": str(tree),
                "OTEL_EXPORTER_OTLP_ENDPOINT": far_end.endpoint,
                "OTEL_LOGGEDMODEL_SPOOL_DIR": str(spool),
            },
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def handed_in(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == "handed in\n", self._process.communicate()[1]

    def end(self, how: str) -> str:
        """End it, by `crash` or by `delivering`; what it said on standard error."""
        errors = self._process.communicate(f"{how}\n", timeout=120)[1]
        assert self._process.returncode == 0, errors
        assert "Traceback" not in errors, errors
        return errors


def surveyed(tree: Path, spool: Path) -> list[tuple[bool, int, int]]:
    """Of each process whether it lives, how many spans it has, and how many files of a later format, to a release."""
    shown = subprocess.run(
        [sys.executable, "-c", SURVEY, str(spool)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    )
    return [(bool(is_running), spans, newer) for is_running, spans, newer in json.loads(shown.stdout)]


def names_of(name: str, spans: int) -> set[str]:
    return {f"{name}-{number}" for number in range(spans)}


def taken(far_end: FarEnd) -> Counter[str]:
    return Counter(name for name in far_end.names if not name.startswith("logged_model."))


@pytest.mark.parametrize(("first", "second"), [("earlier", "this"), ("this", "earlier")])
def test_what_one_release_leaves_the_other_delivers(
    releases: dict[str, Path], far_end: FarEnd, tmp_path: Path, first: str, second: str
) -> None:
    far_end.answer(AWAY)
    spool = tmp_path / "spool"
    left = Application(releases[first], "left", 10, spool, far_end)
    left.handed_in()
    left.end("crash")
    assert taken(far_end) == {}
    far_end.answer(Answer())
    other = Application(releases[second], "other", 3, spool, far_end)
    other.handed_in()
    far_end.wait_for(lambda: names_of("left", 10) <= set(far_end.names), "what was left")
    other.end("delivering")
    assert taken(far_end) == dict.fromkeys(names_of("left", 10) | names_of("other", 3), 1)
    assert "logged_model.created" in far_end.names
    assert list(spool.rglob("*.v1")) == []


def test_both_releases_at_once_lose_nothing_and_leave_each_other_alone(
    releases: dict[str, Path], far_end: FarEnd, tmp_path: Path
) -> None:
    far_end.answer(AWAY)
    spool = tmp_path / "spool"
    running = {name: Application(releases[name], name, 20, spool, far_end) for name in ("earlier", "this")}
    for application in running.values():
        application.handed_in()
    crashed = Application(releases["earlier"], "crashed", 5, spool, far_end)
    crashed.handed_in()
    crashed.end("crash")
    for tree in releases.values():
        owners = surveyed(tree, spool)
        assert sorted(is_running for is_running, _, _ in owners) == [False, True, True]
        assert sum(spans for _, spans, _ in owners) == 45
    far_end.answer(Answer())
    # Those that run look for what others have left from time to time, one that starts does so at once.
    running["last"] = Application(releases["this"], "last", 1, spool, far_end)
    running["last"].handed_in()
    everything = names_of("earlier", 20) | names_of("this", 20) | names_of("crashed", 5) | names_of("last", 1)
    far_end.wait_for(lambda: everything <= set(far_end.names), "all spans")
    for application in running.values():
        application.end("delivering")
    assert taken(far_end) == dict.fromkeys(everything, 1)


@pytest.mark.parametrize("release", ["earlier", "this"])
def test_files_of_a_later_format_are_left_alone_and_told_of(
    releases: dict[str, Path], far_end: FarEnd, tmp_path: Path, release: str
) -> None:
    """So that a release that goes back takes nothing away from the one that wrote them."""
    far_end.answer(AWAY)
    spool = tmp_path / "spool"
    left = Application(releases["this"], "left", 4, spool, far_end)
    left.handed_in()
    left.end("crash")
    later = []
    for path in spool.rglob("spans_*.v1"):
        later.append(path.with_suffix(".v2"))
        shutil.move(path, later[-1])
        later[-1].write_bytes(b"a format that nobody knows yet" + later[-1].read_bytes())
    before = [path.read_bytes() for path in later]
    far_end.answer(Answer())
    other = Application(releases[release], "other", 3, spool, far_end)
    other.handed_in()
    other.end("delivering")
    assert taken(far_end) == dict.fromkeys(names_of("other", 3), 1)
    assert [path.read_bytes() for path in later] == before
    assert sum(newer for _, _, newer in surveyed(releases[release], spool)) == len(later) > 0
