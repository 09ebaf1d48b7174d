# SPDX-License-Identifier: Apache-2.0
"""A real terminal of a given width, with a command in it that reads from memory."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
_START = """
import sys
from cli.doubles import *
from memory_reader import *
from otel_loggedmodel.commands import opening
reader = MemoryReader()
opening.reader_at = lambda url, token: reader
{set_up}
sys.argv = ["otel-loggedmodel", *{arguments!r}]
from otel_loggedmodel.cli import main
main()
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def program(arguments: list[str], set_up: str = "") -> list[str]:
    """The command line of a process in which `set_up` has filled `reader`."""
    return [sys.executable, "-c", _START.format(arguments=arguments, set_up=set_up)]


def environment(**variables: str) -> dict[str, str]:
    """The environment of such a process: nothing that changes what it does, except these variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "MLFLOW_", "GITHUB_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"))
    }
    store = {"OTEL_LOGGEDMODEL_STORE": "http://backend.example:4318"}
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "TERM": "xterm-256color", **store, **variables}


def run_in_terminal(arguments: list[str], columns: int, set_up: str = "", **variables: str) -> str:
    """What a command writes to a terminal of so many columns, on either stream, as it writes it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        program(arguments, set_up), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**variables)
    )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(ours, 65536):
            written += chunk
    os.close(ours)
    assert process.wait(timeout=30) in (0, 1, 2), written
    return written.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return _COLOUR.sub("", text)
