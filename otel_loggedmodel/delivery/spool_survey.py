# SPDX-License-Identifier: Apache-2.0
"""Tells what a spool's directory holds, for people who look at it. Nothing is changed, and no process is disturbed.

Processes go on meanwhile, so the answer may be out of date.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_loggedmodel.delivery import leases, segments
from otel_loggedmodel.delivery.disk_queue import DESTINATION
from otel_loggedmodel.delivery.segments import Name, Record, Segment

_MAX_DESCRIPTION_BYTES: Final = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Owner:
    """What one process keeps for a destination, or has left.

    Attributes:
        name: The name of its directory, which begins with the number of the process.
        is_running: Whether it lives.
        files: How many there are, whatever is in them.
        bytes: How much disk these take.
        models: How many model records are to be delivered.
        spans: How many other spans are.
        refused: How many spans are set aside, as the far end has refused them.
        oldest: When the oldest of what is to be delivered was stored, in seconds since the epoch; None without any.
        newer: How many files are of a later version of this library. They are not counted otherwise.
        unreadable: How many files could not be read.
    """

    name: str
    is_running: bool
    files: int
    bytes: int
    models: int
    spans: int
    refused: int
    oldest: float | None
    newer: int
    unreadable: int


@dataclasses.dataclass(frozen=True)
class Destination:
    """What waits for one far end.

    Attributes:
        directory: Where.
        endpoint: The address, as it was noted; empty if it was not.
        protocol: The same for the protocol.
        signal: `traces` or `logs`.
        owners: The processes that keep something for it, or have left something.
    """

    directory: Path
    endpoint: str
    protocol: str
    signal: str
    owners: tuple[Owner, ...]

    @property
    def oldest(self) -> float | None:
        """When the oldest of what is to be delivered was stored."""
        return min((owner.oldest for owner in self.owners if owner.oldest is not None), default=None)


def survey(root: Path) -> list[Destination]:
    """What waits below a spool's directory, by destination. There may be nothing, and no directory.

    Raises:
        PermissionError: This user may not look at it.
    """
    return [_destination(path) for path in _destinations(root)]


def elsewhere(directory: Path, about: Mapping[str, str]) -> list[Path]:
    """Other destinations with the same endpoint and protocol for which something waits.

    They differ in what is not written down, such as headers. What waits for them is meant for other credentials.
    """
    found = []
    try:
        for path in _destinations(directory.parent):
            description = _description(path)
            is_same = all(description.get(key) == about.get(key) for key in ("endpoint", "protocol", "signal"))
            if path != directory and is_same and any(_waiting(path)):
                found.append(path)
    except OSError:
        return []
    return found


def requests(directory: Path, *, refused: bool = False) -> Iterator[Record]:
    """What waits for a destination, model records first and then by age; or what it has refused."""
    kinds = [segments.SET_ASIDE] if refused else [segments.MODELS, segments.SPANS]
    owned = [file for owner in leases.owners(directory) for file in _files(owner)]
    found = [(path, name) for path, name, _ in owned if name.is_readable and name.kind in kinds]
    for path, name in sorted(found, key=lambda file: (kinds.index(file[1].kind), file[1].created_ms)):
        try:
            with Segment.found(path, name) as segment:
                yield from segment.records()
        except OSError:
            continue  # delivered in between


def _destinations(root: Path) -> list[Path]:
    try:
        found = (path for path in root.iterdir() if not path.name.startswith("."))
        return sorted(path for path in found if path.is_dir() and not path.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _destination(directory: Path) -> Destination:
    description = _description(directory)
    owners = [_owner(path) for path in sorted(leases.owners(directory))]
    return Destination(
        directory,
        description.get("endpoint", ""),
        description.get("protocol", ""),
        description.get("signal", "traces"),
        tuple(owner for owner in owners if owner.files or owner.is_running),
    )


def _description(directory: Path) -> dict[str, str]:
    try:
        path = directory / DESTINATION
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_DESCRIPTION_BYTES))
    except (OSError, ValueError):
        return {}
    items = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in items if isinstance(value, str)}


def _owner(path: Path) -> Owner:
    count = dict.fromkeys((segments.MODELS, segments.SPANS, segments.SET_ASIDE), 0)
    files = size = newer = unreadable = 0
    oldest: float | None = None
    for file, name, taken in _files(path):
        files += 1
        size += taken
        if not name.is_readable:
            newer += 1
            continue
        try:
            segment = Segment.found(file, name)
        except FileNotFoundError:
            continue
        except OSError:
            unreadable += 1
            continue
        count[name.kind] += segment.spans_unread
        if segment.spans_unread and name.kind != segments.SET_ASIDE:
            created = name.created_ms / 1000
            oldest = created if oldest is None else min(oldest, created)
    return Owner(
        name=path.name,
        is_running=leases.is_alive(path),
        files=files,
        bytes=size,
        models=count[segments.MODELS],
        spans=count[segments.SPANS],
        refused=count[segments.SET_ASIDE],
        oldest=oldest,
        newer=newer,
        unreadable=unreadable,
    )


def _waiting(directory: Path) -> Iterator[str]:
    for owner in leases.owners(directory):
        yield from (path for path, name, _ in _files(owner) if name.kind != segments.SET_ASIDE)


def _files(owner: Path) -> list[tuple[str, Name, int]]:
    """The segments in a directory: where each is, what its name says, and how much disk it takes."""
    found = []
    try:
        with os.scandir(owner) as entries:
            for entry in entries:
                name = Name.of(entry.name)
                if name is not None:
                    found.append((entry.path, name, entry.stat(follow_symlinks=False).st_size))
    except OSError:
        pass
    return found
