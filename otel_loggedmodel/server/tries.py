# SPDX-License-Identifier: Apache-2.0
"""Slows down whoever tries one token after another: on the page that asks for it, and as programs send it."""

import contextlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_FREE_TRIES: Final = 5
_LONGEST_SECONDS: Final = 60.0
_FORGET_SECONDS: Final = 900.0
_KNOWN_SECONDS: Final = 3600.0
_MOST_ADDRESSES: Final = 10_000
# Whoever has one address of IPv6 has all that begin with the same 64 bits (RFC 4291, section 2.5.4).
_BITS_OF_A_SENDER: Final = 64


class Tries:
    """Wrong tries by the address they came from; after five each next one has to wait twice as long, up to a minute.

    To be used by one thread. Behind a proxy everybody has one address, and waits together.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # How many there were, and when the last was; the latest last.
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """How long until the next try from an address is looked at; 0 where it is at once."""
        count, last = self._wrong.get(address, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        pause = min(2.0 ** min(count - _FREE_TRIES, 10), _LONGEST_SECONDS)
        return max(0.0, last + pause - self._clock())

    def was_wrong(self, address: str) -> None:
        """Count a wrong try."""
        now = self._clock()
        while self._wrong and next(iter(self._wrong.values()))[1] < now - _FORGET_SECONDS:
            self._wrong.popitem(last=False)
        count, _ = self._wrong.pop(address, (0, 0.0))
        self._wrong[address] = count + 1, now
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def was_right(self, address: str) -> None:
        """Forget the wrong ones of an address."""
        self._wrong.pop(address, None)


class ProgramTries:
    """The same for programs, which send their token with each request; to be used by any thread.

    A program that has an old token sends it again and again. That counts once, so that others at its address need not
    wait. An address never waits if the right token came from it within the last hour: wrong tokens from there do not
    slow others down.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries = Tries(clock)
        self._lock = threading.Lock()
        # When each address last sent the right token; the latest last.
        self._known: OrderedDict[str, float] = OrderedDict()
        # The last wrong tokens of each address, as hashes that mean something to this process alone.
        self._seen: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """How long until the next try from an address is looked at; 0 where it is at once."""
        address = _sender_of(address)
        with self._lock:
            if self._known.get(address, -_KNOWN_SECONDS) > self._clock() - _KNOWN_SECONDS:
                return 0.0
            return self._tries.seconds_to_wait(address)

    def was_wrong(self, address: str, token: bytes) -> None:
        """Count a wrong token, unless it is one of the last from that address."""
        address, told = _sender_of(address), hash(token)
        with self._lock:
            seen = self._seen.pop(address, ())
            if told not in seen:
                seen = (*seen, told)[-_FREE_TRIES:]
                self._tries.was_wrong(address)
            self._seen[address] = seen
            if len(self._seen) > _MOST_ADDRESSES:
                self._seen.popitem(last=False)

    def was_right(self, address: str) -> None:
        """Note that the right token came from an address."""
        address = _sender_of(address)
        with self._lock:
            self._known.pop(address, None)
            self._known[address] = self._clock()
            self._tries.was_right(address)
            self._seen.pop(address, None)
            if len(self._known) > _MOST_ADDRESSES:
                self._known.popitem(last=False)


def _sender_of(address: str) -> str:
    """What stands for everybody who can send from an address."""
    if ":" not in address:
        return address
    with contextlib.suppress(ValueError):
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, _BITS_OF_A_SENDER), strict=False))
    return address
