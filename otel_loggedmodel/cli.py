# SPDX-License-Identifier: Apache-2.0
"""The command line's entry point. The commands need what `[server]` installs, and this module does not."""

import sys

NEEDS_SERVER = "otel-loggedmodel needs: pip install 'otel-loggedmodel[server]'"
# What `[server]` installs has given older ones up.
OLDEST_PYTHON = (3, 11)


def main() -> None:
    """Run the command line."""
    if sys.version_info < OLDEST_PYTHON:
        sys.stderr.write("the command otel-loggedmodel needs Python 3.11 or newer; the library runs with 3.10, too\n")
        sys.exit(2)
    try:
        from otel_loggedmodel.commands.application import run

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("otel_loggedmodel"):
            raise
        sys.stderr.write(f"{NEEDS_SERVER} (no module named {error.name})\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
