# SPDX-License-Identifier: Apache-2.0
"""The command line's entry point. The commands need what `[server]` installs, and this module does not."""

import gc
import shlex
import sys

NEEDS_SERVER = "otel-loggedmodel needs: pip install 'otel-loggedmodel[server]'"
# What runs the same command at once, in an environment of its own.
AT_ONCE = "at once, without installing: uvx --from 'otel-loggedmodel[server]' otel-loggedmodel"
# What `[server]` installs does not support older ones.
OLDEST_PYTHON = (3, 11)
# As `commands.exits` has it, which may not be there.
DEFECT = 70


def main() -> None:
    """Run the command line."""
    if sys.version_info < OLDEST_PYTHON:
        sys.stderr.write("the command otel-loggedmodel needs Python 3.11 or newer; the library runs with 3.10, too\n")
        sys.exit(2)
    try:
        # What modules make as they are imported stays. Looking for garbage among it takes a twentieth of the time of a
        # short command, and once more a tenth when it ends.
        gc.disable()
        from otel_loggedmodel.commands.application import run

        gc.enable()
        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("otel_loggedmodel"):
            sys.stderr.write(f"otel-loggedmodel is not installed as a whole: no module named {error.name}\n")
            sys.exit(DEFECT)
        arguments = " ".join(map(shlex.quote, sys.argv[1:]))
        sys.stderr.write(f"{NEEDS_SERVER} (no module named {error.name})\n{AT_ONCE} {arguments}".rstrip() + "\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.enable()
        gc.freeze()
