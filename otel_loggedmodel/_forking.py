# SPDX-License-Identifier: Apache-2.0
"""What has to be done in a forked child, which has none of its parent's threads and may have locks that they held."""

import os
import weakref
from collections.abc import Callable


def call_in_forked_child(method: Callable[[], None]) -> None:
    """Call a method in every forked child, for as long as its object lives."""
    if hasattr(os, "register_at_fork"):
        weak = weakref.WeakMethod(method)
        os.register_at_fork(after_in_child=lambda: (found := weak()) and found())
