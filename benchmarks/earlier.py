# SPDX-License-Identifier: Apache-2.0
"""An earlier build of this repository, to be measured in the same run as the present one.

Its work tree is put into a temporary folder, and programs are run with that folder first on the import path. Both
builds so have the same interpreter and the same dependencies.
"""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.measuring import Figure

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def work_tree(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that is there as long as the context is.

    Raises:
        ValueError: There is no such commit.
    """
    packed = subprocess.run(["git", "-C", ROOT, "archive", commit], check=False, capture_output=True)
    if packed.returncode:
        raise ValueError(f"{commit!r} is no commit of {ROOT}: {packed.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="earlier-build-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def run_in(tree: Path, program: str) -> str:
    """What a program prints that imports the library from a work tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # code is compiled once, as it is for an installed package
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def compared(what: str, turns: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Figure]:
    """The figures of both builds, and those of the ratios of neighbours.

    Args:
        what: Which of the numbers that a turn measured.
        turns: What was measured, turn by turn, of the builds `now` and `then`.
    """
    now, then = ([turn[what] for turn in turns[name]] for name in ("now", "then"))
    return {
        "then": Figure.of(then),
        "now": Figure.of(now),
        "ratio": Figure.of([mine / its for mine, its in zip(now, then, strict=True)]),
    }
