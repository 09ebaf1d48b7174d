# SPDX-License-Identifier: Apache-2.0
"""A memory that does not grow without end."""

import contextlib
from collections import OrderedDict
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Latest(OrderedDict[_K, _V]):
    """A dict of the keys that were set last; the one that was set longest ago makes room for a new one.

    Several threads may set keys at once. They may forget a few keys more than they have to.

    Args:
        size: How many keys it holds.
    """

    # Not a plain dict: the more of its oldest keys were deleted, the longer it takes to find the oldest one left.

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        # Each of these steps is atomic, but between two of them another thread may have dropped this very key.
        with contextlib.suppress(KeyError):
            self.move_to_end(key)
        while len(self) > self._size:
            with contextlib.suppress(KeyError):
                self.popitem(last=False)
