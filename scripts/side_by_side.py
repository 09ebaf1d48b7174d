# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of .ci/run, two at a time: each waits for servers, builds and other processes much of its time.

    python3 scripts/side_by_side.py NAME=COMMAND ...

They begin in the order given. What a step says is printed whole when it has ended, with its time; meanwhile, a line a
minute says what runs. All of them run, whatever fails. Exit status: 0, all passed; 1, one failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 2
LINE_SECONDS = 60.0


class Steps:
    """Steps that run, and what became of those that have ended."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.failed: list[str] = []
        self._running: dict[str, float] = {}
        self._printing = threading.Lock()

    def run(self, name: str, command: str) -> None:
        """Run one, and print what it said."""
        self._running[name] = began = time.monotonic()
        # Steps beside each other do not share what pytest remembers.
        own_cache = f"-o cache_dir=.venv/.pytest_cache/{re.sub('[^A-Za-z0-9]+', '-', name)}"
        variables = {
            **os.environ,
            "PYTEST_ADDOPTS": f"{os.environ.get('PYTEST_ADDOPTS', '')} {own_cache}".strip(),
            # With more, tests that wait for one another's processes wait for cores instead.
            "PYTEST_XDIST_AUTO_NUM_WORKERS": str(max(2, os.cpu_count() or 1)),
        }
        with tempfile.TemporaryFile() as said:
            status = subprocess.run(
                ["sh", "-c", command],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
            took = time.monotonic() - began
            said.seek(0)
            del self._running[name]
            if status != 0:
                self.failed.append(name)
            with self._printing:
                self._print(f"\n== {name}")
                sys.stdout.buffer.write(said.read())
                sys.stdout.buffer.flush()
                ended = "" if status == 0 else f", FAILED with exit status {status}"
                self._print(f"== {name}: {took:.0f} s{ended} ({time.monotonic() - self.began:.0f} s for steps so far)")

    def say_what_runs(self, stopped: threading.Event) -> None:
        """A line now and then, until stopped."""
        while not stopped.wait(LINE_SECONDS):
            now = time.monotonic()
            running = ", ".join(f"{name} for {now - began:.0f} s" for name, began in list(self._running.items()))
            with self._printing:
                self._print(f"-- running: {running}")

    def _print(self, text: str) -> None:
        print(text, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 0 if all passed."""
    if not arguments or not all("=" in argument for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    steps, stopped = Steps(), threading.Event()
    saying = threading.Thread(target=steps.say_what_runs, args=(stopped,), daemon=True)
    saying.start()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda argument: steps.run(*argument.split("=", 1)), arguments))
    stopped.set()
    saying.join()
    if steps.failed:
        print(f"\nfailed: {', '.join(steps.failed)}")
    return 1 if steps.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
