# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, mistakes, interruptions, what starting it costs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import otel_loggedmodel
from effort import only_in_full
from memory_reader import MemoryReader
from otel_loggedmodel.store.reading import StoreUnavailableError

from .conftest import unboxed
from .terminal import environment, program, run_in_terminal

Run = Callable[..., Result]
COMMANDS = ("serve", "models", "show", "compare", "traces", "gate", "watch", "env", "doctor")
TWO = "reader.comparison = compared(metrics(V1), metrics(V2), {'latency_ms.p95': Verdict.WORSE})"


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    output = " ".join(run("--help").stdout.split())
    for text in (*COMMANDS, "store", "Exit codes: 0 done; 1 a regression"):
        assert text in output


@pytest.mark.parametrize("command", [*((command,) for command in COMMANDS), ("store", "prepare")])
def test_every_command_has_help_with_an_example(run: Run, command: tuple[str, ...]) -> None:
    output = run(*command, "--help").stdout
    assert f"otel-loggedmodel {' '.join(command)}" in output.split("Options")[0].replace("Usage: otel-loggedmodel", "")
    assert "Exit codes:" in output


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"otel-loggedmodel {otel_loggedmodel.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["comapre"], "Did you mean 'compare'?"),
        (["compare", "a", "--sicne", "7d"], "--since"),
        (["compare"], "Missing argument 'VERSION...'"),
        (["gate", "only-one"], "Missing argument"),
        (["models", "--limit", "0"], "greater than or equal to 1"),
        (["traces", "--order", "best"], "best"),
    ],
)
def test_mistakes_are_usage_errors(run: Run, reader: MemoryReader, arguments: list[str], text: str) -> None:
    assert text in unboxed(run(*arguments, code=2).stderr)


def test_without_arguments_it_shows_its_help(run: Run) -> None:
    assert "Commands" in run(code=2).output


def in_process(arguments: list[str], set_up: str = TWO, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        program(arguments, set_up),
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    with process:
        try:
            output, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, output, errors


def test_a_pipe_gets_no_colours_and_whole_lines() -> None:
    code, output, errors = finished(in_process(["compare", "a", "b"], COLUMNS="40"))
    assert (code, errors) == (0, "")
    assert "\x1b" not in output
    assert "latency p95" in output


def test_a_reader_that_leaves_early_changes_neither_exit_code_nor_standard_error() -> None:
    for arguments, expected in ((["compare", "a", "b"], 0), (["gate", "a", "b"], 1), (["compare", "a", "--json"], 0)):
        process = in_process(arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(timeout=30) == expected


def test_json_survives_a_pipe_without_unicode() -> None:
    named = TWO.replace("metrics(V1)", "metrics(V1, '名前 👩')")
    code, output, errors = finished(in_process(["compare", "a", "b", "--json"], named, PYTHONIOENCODING="latin-1"))
    assert (code, errors) == (0, "")
    assert json.loads(output)["versions"][0]["name"] == "名前 👩"


def test_an_interruption_is_quiet() -> None:
    waiting = "\nimport time\nreader.compare = lambda *arguments: print('asked', flush=True) or time.sleep(60)"
    process = in_process(["compare", "a", "b"], TWO + waiting)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    assert finished(process) == (130, "", "")


@only_in_full
def test_what_takes_long_shows_that_it_goes_on_on_a_terminal_only() -> None:
    slow = "\nimport time; answer = reader.compare"
    slow += "\nreader.compare = lambda *arguments: time.sleep(1.6) or answer(*arguments)"
    assert "Comparing versions" in run_in_terminal(["compare", "a", "b"], 120, TWO + slow)
    assert "Comparing versions" not in run_in_terminal(["compare", "a", "b"], 120, TWO)
    assert finished(in_process(["compare", "a", "b"], TWO + slow))[2] == ""


def test_it_is_a_module_too() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "otel_loggedmodel", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"otel-loggedmodel {otel_loggedmodel.__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "rich", "msgspec"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    block = f"import sys; sys.modules[{missing!r}] = None\n"
    command = program(["compare", "a", "--json"] if missing == "msgspec" else ["compare", "a"], TWO)
    command[-1] = command[-1].replace("from otel_loggedmodel.cli", block + "from otel_loggedmodel.cli")
    if missing == "typer":
        command[-1] = f"{block}import sys; sys.argv = ['x']\nfrom otel_loggedmodel.cli import main\nmain()"
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("otel-loggedmodel needs: pip install 'otel-loggedmodel[server]'")
    assert "Traceback" not in result.stderr


def test_starting_imports_nothing_that_takes_long() -> None:
    heavy = (
        *("rich", "msgspec", "chdb", "clickhouse_connect", "pyarrow", "numpy", "starlette", "uvicorn", "grpc"),
        *("requests", "urllib3", "junitparser", "google.protobuf", "asyncio", "genai_prices", "prometheus_client"),
    )
    code = (
        f"import sys, otel_loggedmodel.commands.application; print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_comparison_imports_little() -> None:
    code = program(["compare", "a", "b"], TWO)[-1] + "\n"
    code = code.replace(
        "\nmain()", "\ntry:\n    main()\nexcept SystemExit:\n    pass\nprint(sorted(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    for name in ("chdb", "clickhouse_connect", "starlette", "uvicorn", "grpc", "requests", "junitparser"):
        assert f"'{name}'" not in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    variables = {
        "bash": {
            "_OTEL_LOGGEDMODEL_COMPLETE": "complete_bash",
            "COMP_WORDS": "otel-loggedmodel com",
            "COMP_CWORD": "1",
        },
        "zsh": {"_OTEL_LOGGEDMODEL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "otel-loggedmodel com"},
        "fish": {
            "_OTEL_LOGGEDMODEL_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_ARGS": "otel-loggedmodel com",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
    }[shell]
    command = [sys.executable, "-m", "otel_loggedmodel"]
    result = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=False)
    assert "compare" in result.stdout
    assert "serve" not in result.stdout


def test_store_prepare(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def prepare(url: str, *, on_day: object, **options: object) -> list[str]:
        asked.append((url, options))
        return ["ALTER TABLE otel_traces ADD COLUMN a UInt8;", "ALTER TABLE otel_traces ADD COLUMN b UInt8"]

    monkeypatch.setattr("otel_loggedmodel.store.prepare", prepare)
    arguments = ("store", "prepare", "--store", "clickhouse://db/otel")
    printed = run(*arguments, "--dry-run", "--cluster", "main").stdout
    assert printed == "ALTER TABLE otel_traces ADD COLUMN a UInt8;\n\nALTER TABLE otel_traces ADD COLUMN b UInt8;\n\n"
    assert asked == [("clickhouse://db/otel", {"cluster": "main", "backfill": False, "dry_run": True})]
    result = run(*arguments)
    assert result.stdout == ""
    assert result.stderr == "2 statements run. The store is ready.\n"
    assert '"statements": [' in run(*arguments, "--json").stdout
    assert "--store" in run("store", "prepare", code=2).stderr

    def unavailable(url: str, **options: object) -> list[str]:
        raise StoreUnavailableError("cannot be reached")

    monkeypatch.setattr("otel_loggedmodel.store.prepare", unavailable)
    assert "cannot be reached" in run(*arguments, code=3).stderr


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("of the engine"),
        OSError(5, "of a disk"),
        BrokenPipeError(32, "of a socket"),
        MemoryError(),
        EOFError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("command", [("gate", "a", "b"), ("compare", "a", "b"), ("models",), ("traces",)])
def test_a_defect_has_an_exit_code_of_its_own(
    run: Run,
    reader: MemoryReader,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
    command: list[str],
) -> None:
    """1 would be a regression, and 2 not enough data."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reader.error = error
    result = run(*command, code=70)
    assert result.stdout == ""
    assert type(error).__name__ in result.stderr
    assert "Traceback" not in result.stderr
    [log] = tmp_path.iterdir()
    assert str(log) in result.stderr
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_help_whose_reader_is_gone_is_no_defect(
    run: Run, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `otel-loggedmodel gate --help | head -1`."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "otel_loggedmodel", "gate", "--help"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # rich's own, as the framework prints help with it
    monkeypatch.setattr("otel_loggedmodel.commands.application.is_read_no_more", lambda: True)
    reader.error = BrokenPipeError(32, "of the output")
    assert run("models", code=0).stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["compare", "a", "b"], ["compare", "a", "b", "--json"]])
def test_a_full_disk_under_the_output_is_no_defect(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            program(arguments, TWO), env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.stderr == "otel-loggedmodel: the output cannot be written: No space left on device\n"
    assert ended.returncode == 74
