# SPDX-License-Identifier: Apache-2.0
"""Exit codes: the part of the command line that scripts depend on."""

from typing import Final

OK: Final = 0
REGRESSION: Final = 1
BROKEN: Final = 1
UNDELIVERED: Final = 1
USAGE: Final = 2
NOT_ENOUGH_DATA: Final = 2
STORE_UNAVAILABLE: Final = 3
# EX_SOFTWARE of sysexits.h
DEFECT: Final = 70
# EX_IOERR of sysexits.h
UNWRITABLE: Final = 74
INTERRUPTED: Final = 130

HELP: Final = (
    "Exit codes: 0 done; 1 a regression (gate), a broken chain (doctor), or something left (spool drain, mlflow, "
    "import); 2 wrong usage, an unknown version, or not enough data; 3 the store or the server cannot be reached; "
    "70 a defect of otel-loggedmodel; 74 the output cannot be written; 130 interrupted."
)
