# SPDX-License-Identifier: Apache-2.0
"""Requests that wait in memory while the disk takes none."""

import dataclasses
import itertools
from collections import deque

from otel_loggedmodel.delivery.segments import MODELS, SPANS


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """A request in memory.

    Attributes:
        kind: What is in it.
        payload: Its bytes.
        count: How many spans are in it.
        stored_ms: When it was accepted, in ms since the epoch.
        born: The same, in seconds of the process's monotonic clock.
        rank: Less than 0 puts it before others of its kind, more than 0 behind them.
    """

    kind: str
    payload: bytes
    count: int
    stored_ms: int
    born: float
    rank: int = 0


class MemoryQueue:
    """Requests by kind, each in the order in which they came.

    Attributes:
        bytes: How many they take.
        spans: How many wait, by kind.
    """

    def __init__(self) -> None:
        self._in_turn: dict[str, deque[Held]] = {MODELS: deque(), SPANS: deque()}
        self._behind: dict[str, deque[Held]] = {MODELS: deque(), SPANS: deque()}
        self.bytes = 0
        self.spans = {MODELS: 0, SPANS: 0}

    def add(self, held: Held) -> None:
        """Take one, in the place that its rank gives it."""
        if held.rank > 0:
            self._behind[held.kind].append(held)
        elif held.rank < 0:
            self._in_turn[held.kind].appendleft(held)
        else:
            self._in_turn[held.kind].append(held)
        self.bytes += len(held.payload)
        self.spans[held.kind] += held.count

    def first(self, kind: str) -> Held | None:
        """Whose turn it is."""
        waiting = self._in_turn[kind] or self._behind[kind]
        return waiting[0] if waiting else None

    def all(self, kind: str) -> list[Held]:
        """All that wait."""
        return [*self._in_turn[kind], *self._behind[kind]]

    def oldest(self, kind: str, sparing: Held | None) -> Held | None:
        """The one to give up first if there is not enough room."""
        firsts = [held for waiting in (self._behind, self._in_turn) for held in itertools.islice(waiting[kind], 2)]
        return min((held for held in firsts if held is not sparing), key=lambda held: held.born, default=None)

    def remove(self, held: Held) -> None:
        """Let one go."""
        for waiting in (self._in_turn[held.kind], self._behind[held.kind]):
            if held in waiting:
                waiting.remove(held)
                self.bytes -= len(held.payload)
                self.spans[held.kind] -= held.count
                return
