# SPDX-License-Identifier: Apache-2.0
"""Build the OpenTelemetry Collector of ``collector/builder.yaml`` once, and print where it is.

    collector=$(python3 scripts/build_collector.py)
    "$collector" --config collector-config.yaml

The binary is kept in the user's cache, under a name made from the manifest and the Go version, so that a change of
either builds anew and nothing else does. Nothing is written beside the manifest. Progress goes to standard error;
standard output is the path of the binary alone.

``OTELCOL`` names a Collector that is there already, by path or by a name on ``PATH``: then that one is printed.

Exit status: 0, the path was printed; 1, it could not be built; 3, ``--print-path`` found none.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).resolve().parent.parent / "collector" / "builder.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"
OLDEST_GO = (1, 26)  # what the modules in the manifest ask for

NOT_BUILT = 3


class NoCollectorError(Exception):
    """There is no Collector, and the message says what to do about it."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain: its command, and what it calls its version, such as ``go1.26.1 linux/amd64``."""

    command: str
    version: str


def main() -> int:
    """Print the path of the Collector, built if need be, and return the exit status."""
    parser = argparse.ArgumentParser(description="Build the Collector of collector/builder.yaml and print its path.")
    parser.add_argument(
        "--print-path",
        action="store_true",
        help=f"do not build: print the path of what was built before, or exit with status {NOT_BUILT}",
    )
    arguments = parser.parse_args()
    try:
        binary = given_collector() or (built_collector() if arguments.print_path else build_collector())
    except NoCollectorError as error:
        say(str(error))
        return 1
    if binary is None:
        say("The Collector has not been built here: run `make otelcol`, or name one that you have in OTELCOL.")
        return NOT_BUILT
    print(binary)
    return 0


def given_collector() -> Path | None:
    """Return the Collector that ``OTELCOL`` names, if it names one."""
    name = os.environ.get("OTELCOL")
    if not name:
        return None
    found = shutil.which(name)
    if found is None:
        raise NoCollectorError(f"OTELCOL is {name!r}, which is no executable file: correct it, or unset it.")
    return Path(found).absolute()


def built_collector() -> Path | None:
    """Return what was built for this manifest: with this Go, or, where there is no Go to ask, with any."""
    try:
        candidates = [binary_path(find_go())]
    except NoCollectorError:
        candidates = sorted(cache_directory().glob("otelcol-*/otelcol"))
        candidates = [path for path in candidates if same_content(path.with_name(MANIFEST.name), MANIFEST)]
    return next((path for path in candidates if path.is_file()), None)


def build_collector() -> Path:
    """Build the Collector unless that was done before; of several at once, one builds and the others wait for it."""
    go = find_go()
    binary = binary_path(go)
    if binary.is_file():
        return binary
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{binary.parent.name}.lock"):
        if not binary.is_file():
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
                finished = run_builder(go, Path(scratch))
                with contextlib.suppress(OSError):
                    finished.rename(binary.parent)
    if not binary.is_file():
        raise NoCollectorError(f"The Collector could not be moved to {binary.parent}: is something else there?")
    return binary


def run_builder(go: Go, scratch: Path) -> Path:
    """Run the official builder in ``scratch`` and return a folder there with the binary and its manifest."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -trimpath".strip(),
        "GOWORK": "off",
    }
    command = [go.command, "run", f"{BUILDER}@v{release()}", "--config", str(MANIFEST)]
    # Leaving debugging information out is what shortens compiling and linking.
    command += ["--ldflags=-s -w", "--gcflags=all=-dwarf=false"]
    say(f"Building the OpenTelemetry Collector {release()} with {go.version}: the first time takes some minutes and")
    say("downloads about 2 GB of Go modules.")
    started = time.monotonic()
    outcome = subprocess.run(
        command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if outcome.returncode != 0:
        raise NoCollectorError(
            f"The builder failed with status {outcome.returncode}, see above. It needs a Go module proxy (`go env"
            " GOPROXY`) and about 4 GB of disk. Otherwise name a Collector that you have in OTELCOL."
        )
    finished = scratch / "finished"
    finished.mkdir()
    (scratch / "otelcol" / "otelcol").rename(finished / "otelcol")
    shutil.copyfile(MANIFEST, finished / MANIFEST.name)
    say(f"Built in {time.monotonic() - started:.0f} s.")
    return finished


def find_go() -> Go:
    """Return the Go on ``PATH`` if it is new enough."""
    remedy = (
        f"Install Go {'.'.join(map(str, OLDEST_GO))} or newer (https://go.dev/doc/install), or name a Collector that"
        " you have in OTELCOL, such as otelcol-contrib 0.155 or newer."
    )
    command = shutil.which("go")
    if command is None:
        raise NoCollectorError(f"Building the Collector needs Go, and there is no `go` on PATH. {remedy}")
    # Outside any module, whose go.mod may ask for a toolchain of its own.
    with tempfile.TemporaryDirectory() as outside:
        outcome = subprocess.run([command, "version"], cwd=outside, capture_output=True, text=True, check=False)
    version = outcome.stdout.removeprefix("go version ").strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if outcome.returncode != 0 or numbers is None:
        raise NoCollectorError(f"`{command} version` said {(outcome.stdout + outcome.stderr).strip()!r}. {remedy}")
    if tuple(map(int, numbers.groups())) < OLDEST_GO:
        raise NoCollectorError(f"{command} is {version}, which is too old to build the Collector. {remedy}")
    return Go(command, version)


def release() -> str:
    """Return the Collector's release, which is the builder's too, as the manifest states it."""
    stated = re.search(r"^  version: *(\S+)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if stated is None:
        raise NoCollectorError(f"{MANIFEST} states no dist.version.")
    return stated[1]


def binary_path(go: Go) -> Path:
    """Return where the binary of this manifest and this Go is kept."""
    key = hashlib.sha256(MANIFEST.read_bytes() + go.version.encode()).hexdigest()[:16]
    return cache_directory() / f"otelcol-{key}" / "otelcol"


def cache_directory() -> Path:
    """Return this project's folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored: XDG Base Directory Specification, "Basics".
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "otel-loggedmodel"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends. Windows has no such lock, and none is held there."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is building the Collector: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def same_content(one: Path, other: Path) -> bool:
    """Tell whether the first file exists and has the second one's content."""
    return one.is_file() and one.read_bytes() == other.read_bytes()


def say(message: str) -> None:
    """Tell the person who waits, and not the program that reads standard output."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
