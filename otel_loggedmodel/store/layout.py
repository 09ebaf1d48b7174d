# SPDX-License-Identifier: Apache-2.0
"""The files of an embedded store: where they have to be, what of them is set aside, and how to put them back.

The engine keeps everything below `store/`, in a directory for each table and one for the definitions of all tables, and
finds it through symbolic links in `metadata/` and `data/`. If the links are missing, it opens an empty store. If they
became directories, it opens none. So this looks before the engine does. Nothing here is ever deleted.
"""

import os
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

_LINK: Final = "metadata/default"
# Copies of the definitions of the tables, from when the store was opened last.
_COPIES: Final = "otel-loggedmodel-definitions"
SET_ASIDE: Final = "set-aside"
_UUID: Final = re.compile(rb"ATTACH (?:TABLE|MATERIALIZED VIEW) _ UUID '([0-9a-f-]{36})'")
_PART: Final = re.compile(r"(?:broken(?:-on-start)?_)?(\d{8})_\d+_\d+_\d+(?:_\d+)?(?:_try\d+)?")
# The engine keeps it for each part: the first and the last time, in nanoseconds since 1970.
_TIMES_FILE: Final = "minmax_Timestamp.idx"
_SPANS: Final = "otel_traces"


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A part of a table that is not read, as it is damaged.

    Attributes:
        table: The table.
        path: Where it is.
        rows: How many are in it; None where that is not known.
        since: When the first span in it began; None where that is not known.
        until: When the last one began.
    """

    table: str
    path: str
    rows: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        """What is missing, of what time, and where it is."""
        rows = "an unknown number of rows" if self.rows is None else f"{self.rows} rows"
        times = ""
        if self.since is not None and self.until is not None:
            times = f" from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        return f"{rows} of {self.table}{times} are set aside as damaged, in {self.path}"


def set_aside(directory: Path) -> list[SetAside]:
    """The parts that the engine, or `store repair`, has set aside, by table and time."""
    tables = _tables(directory)
    found = [
        _described(tables.get(path.parents[1].name, "a table"), path)
        for path in directory.glob("store/*/*/detached/*")
        if path.is_dir() and _PART.fullmatch(path.name)
    ]
    # The spans come first. The other table only helps to find traces; without it, they are searched for.
    return sorted(found, key=lambda one: (one.table != _SPANS, one.table, one.path))


def fault(directory: Path) -> str | None:
    """What in the files would keep the engine from opening the store as it was; None where they are sound."""
    link = directory / _LINK
    if link.exists() and not link.is_symlink():
        return f"{link} is a directory, not a symbolic link: the store was copied with something that follows links"
    definitions = _definitions(directory)
    if definitions is not None and (not link.exists() or link.resolve() != definitions.resolve()):
        return f"the symbolic link {link} is missing: the store was copied with something that leaves links out"
    for copy in _copies(directory):
        if definitions is not None and not _is_whole(definitions / copy.name, copy):
            return f"the definition of the table {copy.stem}, {definitions / copy.name}, is damaged"
    return None


def keep_definitions(directory: Path) -> None:
    """Copy the definitions of the tables, for when one is damaged; for a store that was just opened."""
    definitions = _definitions(directory)
    if definitions is None:
        return
    copies = directory / _COPIES
    copies.mkdir(mode=0o700, exist_ok=True)
    for path in definitions.glob("*.sql"):
        copy = copies / path.name
        content = path.read_bytes()
        if not copy.exists() or copy.read_bytes() != content:
            new = copy.with_suffix(".new")
            new.write_bytes(content)
            new.replace(copy)
    for copy in _copies(directory):
        if not (definitions / copy.name).exists():
            copy.unlink()  # its table was dropped


def mend(directory: Path, *, is_distrusted: bool = False) -> list[str]:
    """Put links and definitions back, and return what was done, a line each. What was there goes into `set-aside`.

    Args:
        directory: The directory of a store that nobody has open.
        is_distrusted: Put back every definition that is not as it was when the store was opened last.
    """
    definitions = _definitions(directory)
    if definitions is None:
        return []
    done = []
    place = directory / SET_ASIDE / datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    for copy in _copies(directory):
        path = definitions / copy.name
        is_other = is_distrusted and path.exists() and path.read_bytes() != copy.read_bytes()
        if is_other or not _is_whole(path, copy):
            done.append(f"put back the definition of the table {copy.stem}" + _moved(path, place))
            shutil.copyfile(copy, path)
    done += _linked(directory / _LINK, definitions, place)
    for uuid, table in _tables(directory).items():
        target = directory / "store" / uuid[:3] / uuid
        if target.is_dir():
            done += _linked(directory / "data" / "default" / table, target, place)
    return done


def _linked(link: Path, target: Path, place: Path) -> list[str]:
    if link.is_symlink() and link.resolve() == target.resolve():
        return []
    text = f"put back the symbolic link {link}" + _moved(link, place)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    return [text]


def _moved(path: Path, place: Path) -> str:
    if not os.path.lexists(path):
        return ""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = place / f"{path.parent.name}-{path.name}"
    path.rename(target)
    return f"; what was there is in {target}"


def _definitions(directory: Path) -> Path | None:
    """The directory below `store/` with the definition of the table of spans, or else with that of any table."""
    link = directory / _LINK
    copies = {copy.name: copy.read_bytes() for copy in _copies(directory)}
    found = sorted({path.parent for path in directory.glob("store/*/*/*.sql")})
    if link.is_symlink() and link.resolve() in {path.resolve() for path in found} and not copies:
        return link.resolve()

    def likeness(path: Path) -> tuple[int, bool, bool]:
        # A store that was opened without its links has a second directory of definitions, of empty tables.
        same = sum((path / name).exists() and (path / name).read_bytes() == text for name, text in copies.items())
        return same, (path / f"{_SPANS}.sql").exists(), link.is_symlink() and link.resolve() == path.resolve()

    return max(found, key=likeness, default=None)


def _copies(directory: Path) -> list[Path]:
    return sorted((directory / _COPIES).glob("*.sql"))


def _is_whole(path: Path, copy: Path) -> bool:
    """Whether a definition is whole. It may differ from the copy, as another release may have changed it."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    first = _UUID.match(content)
    return (first is not None and not copy.read_bytes().startswith(content[:-1])) or content == copy.read_bytes()


def _tables(directory: Path) -> dict[str, str]:
    """The tables by the names of their directories."""
    found: dict[str, str] = {}
    for path in _definition_files(directory):
        match = _UUID.match(path.read_bytes()[:200])
        if match is not None:
            found[match[1].decode()] = path.stem
    return {
        uuid: table for uuid, table in found.items() if (directory / "store" / uuid[:3] / uuid / "detached").is_dir()
    }


def _definition_files(directory: Path) -> Iterator[Path]:
    yield from _copies(directory)
    definitions = _definitions(directory)
    if definitions is not None:
        yield from definitions.glob("*.sql")


def _described(table: str, path: Path) -> SetAside:
    since, until = _times(path)
    try:
        rows = int((path / "count.txt").read_text(encoding="ascii"))
    except (OSError, ValueError):
        rows = None
    return SetAside(table=table, path=str(path), rows=rows, since=since, until=until)


def _times(path: Path) -> tuple[datetime | None, datetime | None]:
    try:
        first, last = struct.unpack("<qq", (path / _TIMES_FILE).read_bytes()[:16])
        return _moment(first), _moment(last)
    except (OSError, struct.error, OverflowError, ValueError):
        pass
    match = _PART.fullmatch(path.name)
    try:
        day = datetime.strptime(match[1] if match else "", "%Y%m%d").replace(tzinfo=timezone.utc)
    except ValueError:
        return None, None
    return day, day.replace(hour=23, minute=59)


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc)
