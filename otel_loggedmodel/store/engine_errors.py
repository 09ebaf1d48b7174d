# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in ClickHouse, as errors of `store.reading` and `store.writing` that tell what to do."""

import contextlib
import errno
import logging
import re
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.writing import RefusedError, StoreFullError, TooMuchMemoryError

_logger = logging.getLogger(__name__)

# https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
_NOT_ENOUGH_SPACE: Final = {243, 74, 75}  # NOT_ENOUGH_SPACE, CANNOT_READ/WRITE_FROM_FILE_DESCRIPTOR
_UNKNOWN: Final = {60: "table", 81: "database"}
_DENIED: Final = {192, 193, 194, 497, 516}
_BAD_DATA: Final = {6, 8, 27, 33, 36, 43, 53, 72, 117, 131, 190, 434, 441, 444, 508, 614, 620, 636, 1001}
_TOO_LONG: Final = {159, 160, 394}
_TOO_MUCH_MEMORY: Final = 241
_READING_PART: Final = re.compile(r"while reading from part (\S+?)/? ")
_DAMAGED: Final = {33, 40, 107, 226, 246}  # CANNOT_READ_ALL_DATA, CHECKSUM_DOESNT_MATCH, files gone, CORRUPTED_DATA


class DamagedError(StoreUnavailableError):
    """The store is damaged; the text says what is and how to go on."""


@contextlib.contextmanager
def translated(where: str, *, is_insert: bool = False) -> Any:
    """Turn the errors of `clickhouse-connect` into ours."""
    from clickhouse_connect.driver import exceptions

    try:
        yield
    except exceptions.Error as error:
        raise _translation(error, where, is_insert=is_insert) from error
    except (OSError, UnicodeError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(f"there is no room left on the disk of {where}") from error
        raise StoreUnavailableError(f"{where}: {error or 'too little memory'}") from error


def _translation(error: Any, where: str, *, is_insert: bool) -> Exception:
    code, text = error.code, first_line(str(error))
    if code in _NOT_ENOUGH_SPACE or "No space left on device" in str(error):
        return StoreFullError(f"there is no room left on the disk of {where}")
    if code in _UNKNOWN:
        return StoreUnavailableError(
            f"{where} has no {_UNKNOWN[code]} of spans: let a Collector make it, or run"
            " `otel-loggedmodel store prepare`"
        )
    if code in _DENIED:
        return StoreUnavailableError(f"{where} denies access: {text}")
    if code in _TOO_LONG:
        return StoreUnavailableError(f"{where} took too long to answer; narrow the question with --since")
    if code == _TOO_MUCH_MEMORY and is_insert:
        return TooMuchMemoryError(f"{where} has too little memory for it")
    if code == _TOO_MUCH_MEMORY:
        return StoreUnavailableError(f"{where} has too little memory to answer; narrow the question with --since")
    if code is None:
        return StoreUnavailableError(f"{where} cannot be reached or opened: {_why(error) or text}")
    if is_insert and code in _BAD_DATA:
        # The text names files of ours, and quotes what was sent.
        return RefusedError(f"ClickHouse cannot read it ({error.name or 'error'}, code {code})")
    part = _READING_PART.search(str(error))
    if part is not None or code in _DAMAGED:
        which = f"the part {Path(part[1]).name}" if part is not None else "a part"
        return DamagedError(
            f"{which} of the store at {where} is damaged: `otel-loggedmodel store repair` sets it aside, so that the"
            " rest can be read"
        )
    # The engine's own words are about its insides.
    _logger.info("%s: %s", where, text)
    return StoreUnavailableError(f"{where} cannot answer this (ClickHouse's error {code}, {error.name or 'unknown'})")


def _why(error: BaseException | None) -> str:
    """What the operating system said, where it is the reason. The clients' own texts go round it three times."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""


def first_line(text: str) -> str:
    """The first line of a text, cut off at a readable length."""
    return text.strip().partition("\n")[0][:500]
