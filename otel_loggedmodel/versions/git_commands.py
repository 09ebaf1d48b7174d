# SPDX-License-Identifier: Apache-2.0
"""Runs git without prompts and without the network, within a time, and with errors that say what to do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

_OPTIONS = ("--no-pager", "--literal-pathspecs", "-c", "core.fsmonitor=", "-c", "diff.orderFile=/dev/null")
_VARIABLES_KEPT = re.compile(
    r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)"
    r"|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|EXEC_PATH)"
)


class GitUnavailable(Exception):
    """There is no state to read. The message says why and what to do."""


class GitCommands:
    """Runs git in one directory until a time.

    Attributes:
        directory: Where.
        deadline: When everything has to be done, on the monotonic clock.
        options: Further options before every command.
    """

    def __init__(self, directory: bytes, deadline: float) -> None:
        self.directory = directory
        self.deadline = deadline
        self.options: list[bytes] = []

    def run(
        self,
        command: str,
        *arguments: str,
        options: Sequence[str] = (),
        stdin: bytes = b"",
        accept: tuple[int, ...] = (0,),
    ) -> bytes:
        """What a command prints.

        Args:
            command: The command.
            arguments: What goes behind it.
            options: What goes before it.
            stdin: What it reads.
            accept: The exit codes of success.

        Raises:
            GitUnavailable: It failed, could not be run, or took too long.
        """
        try:
            process = subprocess.Popen(
                ["git", *_OPTIONS, *self.options, *options, command, *arguments],
                cwd=self.directory,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GitUnavailable("git was not found on PATH: install it, or set the version yourself") from error
        except OSError as error:
            raise GitUnavailable(f"git could not be run in {text(self.directory)}: {error}") from error
        with process:
            try:
                output, errors = process.communicate(stdin, timeout=self.time_left())
            except subprocess.TimeoutExpired as error:
                raise self._out_of_time() from error
            finally:
                if process.returncode is None:
                    _kill(process)
        if process.returncode not in accept:
            raise GitUnavailable(_explanation(text(self.directory), command, text(errors)))
        return output

    def time_left(self) -> float:
        """Seconds until the deadline. Past it, `GitUnavailable` is raised."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._out_of_time()
        return left

    def _out_of_time(self) -> GitUnavailable:
        return GitUnavailable(
            f"reading the checkout at {text(self.directory)} took too long: pass a longer timeout=, "
            "or have git ignore large directories that are not part of the application"
        )


def _environment() -> dict[str, str]:
    # In hooks and rebases, GIT_DIR, GIT_INDEX_FILE and others may point at another repository.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or _VARIABLES_KEPT.fullmatch(k)}
    return kept | {
        "LC_ALL": "C",
        "LANGUAGE": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",  # replacements are not cloned
        "GIT_NO_LAZY_FETCH": "1",  # since git 2.45; before that, allowing no protocol keeps git from fetching
        "GIT_ALLOW_PROTOCOL": "none",
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _explanation(directory: str, command: str, errors: str) -> str:
    lines = errors.strip().splitlines() or ["no reason given"]
    said = next((line for line in lines if line.startswith("fatal:")), lines[-1])
    if "safe.directory" in errors:  # git 2.35.2 and later, CVE-2022-24765
        return (
            f"git does not trust the checkout at {directory}, as another user owns it ({said}): run "
            f"`git config --global --add safe.directory <its root>`, or `... safe.directory '*'` in a container"
        )
    if "not a git repository" in errors:
        return f"{directory} is not in a git checkout ({said}): run from one or pass path="
    if "must be run in a work tree" in errors:
        return f"{directory} is in a bare repository or a .git directory, where no files are checked out: pass path="
    return f"`git {command}` failed in {directory} ({said}): try it there"


def text(value: bytes) -> str:
    """What git printed, for people."""
    return value.decode(errors="replace")
