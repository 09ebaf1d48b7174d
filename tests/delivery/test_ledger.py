# SPDX-License-Identifier: Apache-2.0
"""Whatever happens in whatever order: what was handed in is delivered, given up for a stated reason, or still there."""

import collections
import errno
import os
import random
from pathlib import Path

import pytest

from otel_loggedmodel.delivery import segments
from otel_loggedmodel.delivery.spool import Kind, Spool

from .storing import Clocks, Drops, make_spool


class FullDisk:
    """While it is full, files can be written to, but do not grow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        disk = self

        class File(segments.FileIO):
            def write(self, content):
                if disk.is_full and self.tell() + len(content) > os.fstat(self.fileno()).st_size:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(content)

        monkeypatch.setattr(segments, "FileIO", File)


class Ledger:
    """A spool in use, and what became of each span."""

    def __init__(self, directory: Path, disk: FullDisk, randomness: random.Random) -> None:
        self.clocks = Clocks()
        self.drops = Drops()
        self.disk = disk
        self.random = randomness
        self.directory = directory
        self.delivered: collections.Counter[str] = collections.Counter()
        self.handed_in = self.set_aside = self.lost_with_memory = self.number = 0
        self.spool = self.start()

    def start(self) -> Spool:
        spool = make_spool(
            *(self.directory, self.clocks),
            **{"max_bytes": 8000, "max_age": 5000, "segment_bytes": 1000, "memory_bytes": 3000},
            on_drop=self.drops,
        )
        spool.adopt()
        return spool

    def step(self) -> None:
        step = self.random.choices(
            [
                self.append,
                self.deliver,
                self.fail_to,
                self.split,
                self.postpone,
                self.put_aside,
                self.wait,
                self.trouble,
            ],
            [40, 15, 5, 5, 5, 3, 10, 4],
        )[0]
        step()
        if self.random.random() < 0.03:
            self.restart()
        self.check()

    def append(self) -> None:
        names = [f"{self.number + index}" for index in range(self.random.randrange(1, 6))]
        self.number += len(names)
        self.handed_in += len(names)
        padding = " " * self.random.choice([1, 50, 300, 900])
        kind = self.random.choice([Kind.MODELS, Kind.SPANS, Kind.SPANS, Kind.SPANS])
        self.spool.append(kind, (",".join(names) + padding).encode(), len(names))

    def deliver(self) -> None:
        for _ in range(self.random.randrange(1, 5)):
            if (stored := self.spool.next()) is not None:
                if self.random.random() < 0.3:
                    self.append()  # as other threads do, while a request is on its way
                assert len(stored.payload.split(b",")) == stored.count
                self.delivered.update(stored.payload.decode().strip().split(","))
                self.spool.done(stored)

    def fail_to(self) -> None:
        if (stored := self.spool.next()) is not None:
            again = self.spool.next()
            assert again is not None
            assert again.handle == stored.handle
            self.append()

    def split(self) -> None:
        if (stored := self.spool.next()) is not None:
            names = stored.payload.strip().split(b",")
            parts = [names[: len(names) // 2], names[len(names) // 2 :]]
            self.spool.replace(stored, [(b",".join(part), len(part)) for part in parts if part])

    def postpone(self) -> None:
        if (stored := self.spool.next()) is not None:
            self.spool.postpone(stored)

    def put_aside(self) -> None:
        if (stored := self.spool.next()) is not None:
            self.spool.set_aside(stored, "400")
            self.set_aside += stored.count

    def wait(self) -> None:
        self.clocks.pass_seconds(self.random.choice([0.1, 2, 6, 60, 700, 3000]))
        self.clocks.wall += self.random.choice([0, 0, 0, -5000, 5000])
        self.spool.sync()

    def trouble(self) -> None:
        self.disk.is_full = not self.disk.is_full

    def restart(self) -> None:
        if self.random.random() < 0.5:
            self.spool.close()
        else:  # as when the process is killed
            self.lost_with_memory += sum(self.spool._queues.memory.spans.values())
            self.spool._after_fork()
        self.disk.is_full = False
        self.spool = self.start()

    def check(self) -> None:
        pending = self.spool.pending
        dropped = sum(count for _, _, count in self.drops)
        accounted = (
            self.delivered.total() + dropped + self.set_aside + self.lost_with_memory + pending.spans + pending.models
        )
        assert accounted == self.handed_in, (self.drops, pending)
        assert not self.delivered or max(self.delivered.values()) == 1
        assert self.drops.count("damaged") == self.drops.count("missing") == self.drops.count("failed") == 0

    def finish(self) -> None:
        self.disk.is_full = False
        self.clocks.pass_seconds(60)
        while (stored := self.spool.next()) is not None:
            self.delivered.update(stored.payload.decode().strip().split(","))
            self.spool.done(stored)
        assert not self.spool.pending
        self.check()
        self.spool.close()


@pytest.mark.parametrize("seed", range(12))
def test_every_span_is_accounted_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    disk = FullDisk(monkeypatch)
    ledger = Ledger(tmp_path / "spool" / "key", disk, random.Random(seed))
    for _ in range(300):
        ledger.step()
    ledger.finish()
