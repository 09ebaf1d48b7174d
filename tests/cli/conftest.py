# SPDX-License-Identifier: Apache-2.0
"""Running commands in this process, against a reader in memory."""

import os
from collections.abc import Callable, Sequence

import pytest
from typer.testing import CliRunner, Result

from memory_reader import MemoryReader
from otel_loggedmodel.commands import opening
from otel_loggedmodel.commands.application import app


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer's machine or a build server has set."""
    for variable in list(os.environ):
        if variable.startswith(("OTEL_", "GITHUB_", "OTLP_")) or variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> MemoryReader:
    """The reader that commands get, whatever store they ask for."""
    memory = MemoryReader()

    def reader_at(url: str, token: str | None) -> MemoryReader:
        memory.asked.append(("open", url, token))
        memory.is_closed = False
        return memory

    monkeypatch.setattr(opening, "reader_at", reader_at)
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", "http://backend.example:4318")
    return memory


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a command, and check that it ended as expected."""

    def run_command(*arguments: str, code: int = 0, env: dict[str, str] | None = None) -> Result:
        result = CliRunner().invoke(app, _as_list(arguments), env=env, prog_name="otel-loggedmodel")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run_command


def unboxed(text: str) -> str:
    """A message out of the frame that typer puts around it, on one line."""
    return " ".join(text.replace("│", " ").split())


def _as_list(arguments: Sequence[str]) -> list[str]:
    return [str(argument) for argument in arguments]
