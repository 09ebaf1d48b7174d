# SPDX-License-Identifier: Apache-2.0
"""Build Jaeger from its Go module once, for tests/backends, and print where it is.

    jaeger=$(python3 scripts/build_jaeger.py)

It is kept in the user's cache beside the Collector, under a name made from its release and the Go version. It has no
pages, as the module does not contain them; its storage and its interface are Jaeger's. ``JAEGER`` names one that is
there already.

Exit status: 0, the path was printed; 1, it could not be built; 3, ``--print-path`` found none.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from build_collector import NOT_BUILT, Go, NoCollectorError, cache_directory, find_go, locked, say

MODULE = "github.com/jaegertracing/jaeger"
RELEASE = "1.76.0"  # of the module, which builds Jaeger 2.13
# What the module replaces, a program that is built from it has to replace as well.
REPLACED = "replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0"
GO_MOD = f"module jaegerbuild\n\ngo 1.24.6\n\nrequire {MODULE} v{RELEASE}\n\n{REPLACED}\n"
NEEDED = f'//go:build tools\n\npackage tools\n\nimport _ "{MODULE}/cmd/jaeger"\n'


def main() -> int:
    """Print the path of Jaeger, built if need be, and return the exit status."""
    parser = argparse.ArgumentParser(description="Build Jaeger and print its path.")
    parser.add_argument(
        "--print-path", action="store_true", help=f"do not build; exit with {NOT_BUILT} if there is none"
    )
    arguments = parser.parse_args()
    try:
        given = os.environ.get("JAEGER")
        binary = Path(given).absolute() if given else binary_path(find_go())
        if not binary.is_file():
            if arguments.print_path:
                say("Jaeger has not been built here: make test-backends")
                return NOT_BUILT
            build(find_go(), binary)
    except NoCollectorError as error:
        say(str(error))
        return 1
    print(binary)
    return 0


def binary_path(go: Go) -> Path:
    """Return where the binary of this release and this Go is kept."""
    key = hashlib.sha256(f"{RELEASE}\0{go.version}".encode()).hexdigest()[:16]
    return cache_directory() / f"jaeger-{key}" / "jaeger"


def build(go: Go, binary: Path) -> None:
    """Build it; of several at once, one builds and the others wait for it."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{binary.parent.name}.lock"):
        if binary.is_file():
            return
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
            directory = Path(scratch) / "finished"
            directory.mkdir()
            compile_into(go, Path(scratch), directory / "jaeger")
            with contextlib.suppress(OSError):
                directory.rename(binary.parent)


def compile_into(go: Go, scratch: Path, target: Path) -> None:
    """Compile it in a module of its own, with the checksums that its module brings along."""
    say(f"Building Jaeger from {MODULE} v{RELEASE} with {go.version}: the first time takes several minutes.")
    began = time.monotonic()
    (scratch / "go.mod").write_text(GO_MOD, encoding="utf-8")
    (scratch / "tools.go").write_text(NEEDED, encoding="utf-8")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    found = run([go.command, "mod", "download", "-json", f"{MODULE}@v{RELEASE}"], scratch, environment)
    shutil.copyfile(Path(json.loads(found)["Dir"]) / "go.sum", scratch / "go.sum")
    (scratch / "go.sum").chmod(0o644)
    flags = ["-trimpath", "-ldflags=-s -w", "-gcflags=all=-dwarf=false"]
    run([go.command, "build", *flags, "-o", str(target), f"{MODULE}/cmd/jaeger"], scratch, environment)
    say(f"Built in {time.monotonic() - began:.0f} s.")


def run(command: list[str], directory: Path, environment: dict[str, str]) -> str:
    """Run a command, and return what it printed.

    Raises:
        NoCollectorError: It failed.
    """
    outcome = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        raise NoCollectorError(f"{' '.join(command[:3])} failed with status {outcome.returncode}, see above.")
    return outcome.stdout


if __name__ == "__main__":
    sys.exit(main())
