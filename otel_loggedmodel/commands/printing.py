# SPDX-License-Identifier: Apache-2.0
"""Writing to the terminal or a pipe.

On a terminal, lines have its width, and there are colours unless NO_COLOR is set. In a pipe or a file there are no
colours, and lines are as long as they have to be, so that nothing is cut off for another program. Each command writes
its output at once.
"""

import errno
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

UNLIMITED: Final = 100_000
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SECONDS_BEFORE_PROGRESS: Final = 1.0
# JSON escapes the other control characters itself.
_RAW_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def console_for(stream: TextIO) -> "Console":
    """A console on a stream that takes texts literally: no markup, no emoji codes, no guessing what a number is."""
    from rich.console import Console

    width = None if stream.isatty() else UNLIMITED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def show(*renderables: "RenderableType") -> None:
    """Write to standard output."""
    console = console_for(sys.stdout)
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    write(_without_blanks_around(captured.get()))


def as_document(value: object) -> dict[str, object]:
    """What `show_json` writes of a dataclass, so that something can be put beside it."""
    import msgspec

    return dict(msgspec.to_builtins(value))


def show_json(value: object) -> None:
    """Write a value as JSON: the field names of its dataclasses are the keys."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    text = _RAW_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        # If the stream lacks a character, it must not be lost.
        text = json.dumps(json.loads(text), indent=2)
    write(f"{text}\n")


def write(text: str, stream: TextIO | None = None) -> None:
    """Write a text. If its reader stops reading, the exit code still says what came out."""
    stream = stream or sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _write_nowhere(stream)


def is_read_no_more() -> bool:
    """Whether the reader of standard output is gone, as in `--help | head`. Then what is left to say goes nowhere."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere(sys.stdout)
        return True
    return False


def is_unwritable(error: OSError) -> bool:
    """Whether an error is that of a stream that cannot be written, as on a full disk. What is left goes nowhere."""
    if error.filename is not None or error.errno not in _UNWRITABLE:
        return False
    _write_nowhere(sys.stdout)
    return True


def _write_nowhere(stream: TextIO) -> None:
    # Python flushes once more when it exits, and would raise then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(text: str) -> None:
    """Write a message to standard error."""
    from otel_loggedmodel.presenting.texts import clean_lines

    write(clean_lines(text) + "\n", sys.stderr)


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Show on a terminal, on standard error, that something goes on. It is shown only after a second."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.text import Text

    status = console_for(sys.stderr).status(Text(doing))
    timer = threading.Timer(SECONDS_BEFORE_PROGRESS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def _without_blanks_around(text: str) -> str:
    lines = [line.rstrip(" ") for line in text.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"
