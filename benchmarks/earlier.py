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
from collections.abc import Iterator
from pathlib import Path

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
