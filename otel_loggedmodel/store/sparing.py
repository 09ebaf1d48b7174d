# SPDX-License-Identifier: Apache-2.0
"""What the engine in this process can do without."""

import importlib
import sys
import threading
from typing import Final

_spares_pyarrow: Final = threading.Event()


def spare_pyarrow() -> None:
    """Let chDB do without pyarrow, which it imports for formats of answers that we do not ask for.

    That saves a process 40 MB and a tenth of the time of a short command. It is for processes of our own: whoever uses
    chDB beside us may want these formats.
    """
    _spares_pyarrow.set()


def import_chdb() -> None:
    """Import chDB without pyarrow, where that is spared; else whoever needs chDB imports it.

    Raises:
        ImportError: It is not there, or its engine does not start.
    """
    name = "pyarrow"
    # Another thread may be about to import it, too.
    if not _spares_pyarrow.is_set() or name in sys.modules or threading.active_count() > 1:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # for the import system that means: there is none
    try:
        importlib.import_module("chdb.state.sqlitelike")
    finally:
        del sys.modules[name]
