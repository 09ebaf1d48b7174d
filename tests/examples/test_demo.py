# SPDX-License-Identifier: Apache-2.0
"""The demo does what it says, and leaves nothing behind."""

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import genai_prices
import pytest

from collector.running import find_collector
from effort import only_in_full, some
from otel_loggedmodel.store import open_database, open_reader
from otel_loggedmodel.store.reading import TraceFilter
from otlp_receiver import OtlpReceiver

from .arrived import look_up
from .running import DEMO, EXAMPLES, run

pytestmark = pytest.mark.takes(5)

DIRECTORY = "demo"
# With fewer, what is planted may as well be chance, as failures come in conversations.
ENOUGH_ROUNDS = 3


def demo(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a directory of its own."""
    return run(DEMO, "--directory", tmp_path / DIRECTORY, *arguments, **environment)


@dataclasses.dataclass
class Truth:
    """What the versions did, by the demo's own application and traffic, without a server, a span or a clock."""

    traces: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)

    def cost(self, model: str) -> float:
        usage = genai_prices.Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        return float(genai_prices.calc_price(usage, model, provider_id="openai").total_price)


def truth_of(import_from_demo: Callable[[str], ModuleType], rounds: int) -> dict[str, Truth]:
    stand_in, traffic, versions = map(import_from_demo, ("stand_in", "traffic", "versions"))
    index = import_from_demo("retrieval").Index(EXAMPLES / "demo" / "articles.md")
    truth = {release: Truth() for release in versions.RELEASES}
    for request in [
        *traffic.requests(versions.RELEASES, rounds, kind="direct"),
        *traffic.requests(versions.RELEASES, 1, kind="routed"),
    ]:
        params = versions.PARAMS[request.release]
        found = index.search(request.question, int(params["retrieval_k"]))
        completion = stand_in.complete(
            stand_in.Prompt(
                params["prompt"], "\n".join(f"[{article.title}] {article.text}" for article in found), request.question
            ),
            model=params["llm_model"],
            temperature=float(params["temperature"]),
            max_tokens=int(params["max_tokens"]),
            seed=zlib.crc32(f"{request.conversation} {request.question}".encode()),
        )
        one = truth[request.release]
        one.traces += 1
        one.errors += completion.text is None
        one.input_tokens += completion.input_tokens
        one.output_tokens += completion.output_tokens
        one.seconds.append(completion.seconds)
    return truth


def check_demo(outcome: subprocess.CompletedProcess[str], truth: dict[str, Truth]) -> None:
    output = outcome.stdout
    assert outcome.stderr == ""
    assert outcome.returncode == 0, output
    assert "\033" not in output  # no colours outside of a terminal
    assert "answers are canned" in output
    answers = re.findall(r"(v\d): (\d+) answered(?:, (\d+) refused \(503\))?", output)
    for release, one in truth.items():
        assert sum(int(answered) for name, answered, _ in answers if name == release) == one.traces - one.errors
        assert sum(int(refused or 0) for name, _, refused in answers if name == release) == one.errors
    models = section(output, "models")
    ids = {}
    for release, one in truth.items():
        stage = {"v1": "production", "v2": "candidate"}[release]
        row = rf"support-agent +{release} +(m-[0-9a-f]{{32}}) +{stage} +{one.traces} +{one.errors} "
        found = re.search(row, models)
        assert found, models
        ids[release] = found[1][-8:]
    compared = section(output, f"compare {ids['v1']} {ids['v2']}")
    check_table(compared, truth["v1"], truth["v2"])
    assert re.search(r"^v2 .*has far fewer errors .*compared with v1$", compared, re.MULTILINE), compared
    slowest = section(output, f"traces {ids['v2']} --order slowest --limit 3")
    assert len(re.findall(r"[0-9a-f]{32} .+ ok +\d+ → \d+ +\$0\.00\d+ .+\? .+ POST /ask ", slowest)) == 3
    strict, agreed = sections(output, f"gate {ids['v1']} {ids['v2']}")
    assert "cost_usd_per_trace is worse" in strict
    assert "FAILED: 1 of 1 rules failed\nexit status 1: a regression" in strict
    assert "error_rate is better" in agreed
    assert "PASSED: 3 rules passed\nexit status 0" in agreed


def sections(output: str, command: str) -> list[str]:
    """What the command line said to a command, each time."""
    parts = re.split(r"^\$ ", output, flags=re.MULTILINE)
    return [part for part in parts if re.match(rf"\S+otel-loggedmodel {command}\b", part)]


def section(output: str, command: str) -> str:
    (found,) = sections(output, command)
    return found


def check_table(table: str, v1: Truth, v2: Truth) -> None:
    """The numbers that the demo shows are true, and the differences that were planted are called."""
    rows = {
        match[1]: match[2].split()
        for match in re.finditer(r"^ ((?:[a-z0-9_,]+ )*[a-z0-9_]+) {2,}(\S.*)$", table, re.MULTILINE)
    }
    assert rows["traces"] == [str(v1.traces), str(v2.traces)]
    assert rows["errors"] == [str(v1.errors), str(v2.errors)]
    assert rows["tokens in"] == [f"{v1.input_tokens:,}", f"{v2.input_tokens:,}"]
    assert rows["tokens out"] == [f"{v1.output_tokens:,}", f"{v2.output_tokens:,}"]
    assert rows["param llm_model"] == ["gpt-4.1-mini", "gpt-4.1"]
    assert "param max_tokens" not in rows  # the versions do not differ in it
    assert rows["error rate"][-1] == "better"
    for metric in ("tokens in per trace", "tokens out per trace", "cost per 1,000 traces"):
        assert rows[metric][-1] == "worse", metric
    # The second one waits 15 ms longer, which a busy machine can drown, but hardly turn round.
    assert rows["latency p50"][-1] != "better"


def check_kept_data(url: str, truth: dict[str, Truth], output: str) -> None:
    """What the demo leaves behind says the same, to all its digits."""
    reader = open_reader(url)
    ids = {version.tags["release"]: version.model_id for version in reader.versions()}
    arrived = look_up(reader, ids)
    for release, one in arrived.items():
        assert (one.traces, one.errors, one.linked) == (truth[release].traces, truth[release].errors, one.traces)
        # Each request is at least five spans: its own, what is received and sent, the search, the call of the model.
        assert one.stamped == one.spans >= 5 * one.traces
    comparison = reader.compare([ids["v1"], ids["v2"]])
    for found, one, model in zip(comparison.versions, truth.values(), ("gpt-4.1-mini", "gpt-4.1"), strict=True):
        assert (found.traces, found.errors) == (one.traces, one.errors)
        assert (found.tokens.input, found.tokens.output) == (one.input_tokens, one.output_tokens)
        assert found.cost_usd == pytest.approx(one.cost(model), rel=1e-9)
        # The stand-in takes at least so long, however fast the machine is.
        assert found.latency_ms.mean is not None
        assert found.latency_ms.mean >= 1000 * statistics.fmean(one.seconds)
    for release, stage in (("v1", "production"), ("v2", "candidate")):
        detail = reader.version(ids[release])
        # Made by two processes, its own and the one that serves both, and yet one version, made once.
        assert sorted(entry.kind for entry in detail.history) == [
            *("activated", "activated", "created", "updated", "updated"),
        ]
        assert len({entry.resource["process.pid"] for entry in detail.history if entry.kind == "activated"}) == 2
        assert detail.version.tags == {"release": release, "stage": stage}
    slowest = reader.traces(ids["v2"], TraceFilter(order="slowest", limit=3))
    shown = section(output, f"traces {ids['v2'][-8:]} --order slowest --limit 3")
    assert [trace.trace_id for trace in slowest] == re.findall(r" ([0-9a-f]{32}) ", shown)
    assert slowest[0].duration_ms >= 1000 * max(truth["v2"].seconds)
    assert all(trace.input and trace.output and trace.scores for trace in slowest)
    turns = reader.traces(ids["v2"], TraceFilter(conversation="routed-0-0"))
    assert len({trace.input for trace in turns}) == 3
    failed = reader.traces(ids["v1"], TraceFilter(errors_only=True, limit=1))
    assert "overloaded" in failed[0].reason
    reader.close()


def files_of(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if "__pycache__" not in path.parts}


@only_in_full
def test_the_demo_compares_what_it_has_sent(
    tmp_path: Path, import_from_demo: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, temporary = tmp_path / "checkout", tmp_path / "tmp"
    temporary.mkdir()
    shutil.copytree(EXAMPLES, checkout / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    before = files_of(checkout)
    rounds = ENOUGH_ROUNDS
    monkeypatch.chdir(checkout)
    outcome = run(
        Path("examples/demo/run.py"),
        "--direct",
        f"--rounds={rounds}",
        TMPDIR=str(temporary),
        OTEL_SDK_DISABLED="true",
        MLFLOW_ACTIVE_MODEL_ID="other",
        GITHUB_ACTIONS="true",
    )
    truth = truth_of(import_from_demo, rounds=rounds)
    check_demo(outcome, truth)
    assert "spans go to it directly" in outcome.stdout
    assert "::error" not in outcome.stdout  # a demo of a gate fails nobody's build
    left = {path for path in files_of(checkout) - before if not path.startswith(".venv/demo/data/")}
    logs = {f"{name}.log" for name in ("backend", "support-agent-v1", "support-agent-v2", "support-agent-both")}
    assert left == {".venv", *(f".venv/{path}" for path in ("demo", "demo/data", "demo/demo.lock"))} | {
        f".venv/demo/{log}" for log in logs
    }
    assert list(temporary.iterdir()) == []
    # The command that it shows for looking around serves what was stored.
    (command,) = re.findall(r"^\$ (\S+otel-loggedmodel serve --data \.venv/demo/data)$", outcome.stdout, re.MULTILINE)
    options = ["--http-port", "0", "--grpc-port", "0", "--json"]
    with subprocess.Popen([*shlex.split(command), *options], stdout=subprocess.PIPE, text=True) as backend:
        assert backend.stdout is not None
        try:
            check_kept_data(json.loads(backend.stdout.readline())["http"], truth, outcome.stdout)
        finally:
            backend.terminate()
    assert backend.returncode == 0


def processes_with(directory: Path) -> list[str]:
    """The processes whose environment has this directory: those that a demo started, wherever they belong by now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            if f"TMPDIR={directory}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
    return found


@contextlib.contextmanager
def demo_until(moment: str, tmp_path: Path, *arguments: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """A demo that has come so far, and what it said until then; at the end it has to have left nothing running."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, str(DEMO), "--rounds", "1", "--directory", str(tmp_path / DIRECTORY), *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while moment not in said:
            line = process.stdout.readline()
            assert line, (said, process.communicate())
            said += line
        assert processes_with(temporary)
        yield process, said
    assert processes_with(temporary) == []
    assert list(temporary.iterdir()) == []


@only_in_full
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "moment"),
    some(
        [
            (signal.SIGINT, "asking"),
            (signal.SIGTERM, "starting three"),
            (signal.SIGINT, "starting the backend"),
            (signal.SIGTERM, "stopping"),
            (signal.SIGINT, "otel-loggedmodel models"),
        ],
    ),
)
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    with demo_until(moment, tmp_path, "--direct") as (process, _):
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\nInterrupted. Every process that the demo had started is stopped.\n"


@only_in_full
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_demo_through_a_collector_can_be_opened_until_it_is_interrupted(
    tmp_path: Path, import_from_demo: Callable[[str], ModuleType]
) -> None:
    """If there is no Collector here, the rest is tested, and then the test is skipped."""
    try:
        find_collector()
        way = []
    except pytest.skip.Exception:
        way = ["--direct"]
    with demo_until("Until Ctrl-C.", tmp_path, "--stay", f"--rounds={ENOUGH_ROUNDS}", *way) as (process, said):
        url = re.findall(r"^  what is deployed +(http://127\.0\.0\.1:\d+/)$", said, re.MULTILINE)[-1]
        with urllib.request.urlopen(url) as answer:
            assert json.load(answer)["name"] == "otel-loggedmodel"
        # A demo beside it would take its data away.
        other = demo(tmp_path, "--direct")
        assert other.returncode == 2
        assert "another demo runs" in other.stderr
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    outcome = subprocess.CompletedProcess(process.args, process.returncode, said + rest, errors)
    check_demo(outcome, truth_of(import_from_demo, rounds=ENOUGH_ROUNDS))
    collector = find_collector()
    assert f"starting the OpenTelemetry Collector {collector}\n" in said
    assert re.search(r"through the Collector at http://127\.0\.0\.1:\d+ \(pid \d+\)", said)
    assert '"spans": ' in (tmp_path / DIRECTORY / "collector.log").read_text()  # it says how many passed


def test_a_demo_takes_no_directory_from_anybody(tmp_path: Path) -> None:
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious")
    outcome = demo(tmp_path, "--direct")
    assert outcome.returncode == 2
    assert "no demo's" in outcome.stderr
    assert "--directory" in outcome.stderr
    assert (directory / "thesis.txt").read_text() == "precious"


def test_a_demo_does_not_take_data_from_a_backend_that_serves_it(tmp_path: Path) -> None:
    data = tmp_path / DIRECTORY / "data"
    data.mkdir(parents=True)
    (tmp_path / DIRECTORY / "demo.lock").touch()
    (data / "spans").write_text("stored")
    serving = open_database(f"chdb://{data}")
    try:
        outcome = demo(tmp_path, "--direct")
    finally:
        serving.close()
    assert outcome.returncode == 2
    assert f'"pid": {os.getpid()}' in outcome.stderr
    assert "--directory" in outcome.stderr
    assert (data / "spans").read_text() == "stored"


def test_the_demo_says_how_to_get_a_collector(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OTELCOL"}
    with subprocess.Popen(
        [sys.executable, str(DEMO), "--directory", str(tmp_path / DIRECTORY)],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("make otelcol" in line for line in process.stdout)
        process.terminate()
        process.communicate()


def test_a_demo_without_its_packages_says_what_to_do() -> None:
    outcome = run("-S", DEMO, PYTHONPATH="")
    assert outcome.returncode == 2
    assert "fastapi" in outcome.stderr
    assert "chdb" in outcome.stderr
    assert "make demo" in outcome.stderr


def test_a_demo_with_a_wrong_collector_says_what_to_do(tmp_path: Path) -> None:
    for wrong, says in (("no-such-program", "unset it"), ("false", "status 1")):
        outcome = demo(tmp_path, OTELCOL=wrong)
        assert outcome.returncode == 1
        assert says in outcome.stderr
        assert "--direct" in outcome.stderr


def test_a_process_of_the_demo_finds_another_port_when_its_own_is_taken(
    tmp_path: Path,
    receiver: OtlpReceiver,
    import_from_demo: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = import_from_demo("processes")
    ports = iter([receiver.port, processes.free_port()])
    monkeypatch.setattr(processes, "free_port", lambda: next(ports))
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with processes.Children() as children:
            server = processes.ServerProcess(
                children,
                name="files",
                command=lambda port: [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                environment=lambda port: dict(os.environ),
                is_ready=lambda port, pid: (processes.ask(port, "GET", "/") or (0,))[0] == 200,
                log_directory=tmp_path,
            )
            server.wait_until_ready()
            assert server.url != receiver.endpoint
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    assert not server.is_running()
