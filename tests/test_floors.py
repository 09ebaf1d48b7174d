# SPDX-License-Identifier: Apache-2.0
"""The check of the floors finds an import that goes the wrong way: a copy of the package with one does not pass."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from effort import only_in_full

ROOT = Path(__file__).resolve().parent.parent
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
FLOORS = "A floor imports only the floors below it"
SERVER = "The library never imports what the extra `server` installs"

pytestmark = [
    only_in_full,
    pytest.mark.skipif(not LINT_IMPORTS.exists(), reason="needs import-linter: pip install import-linter"),
]


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("versions/records.py", "", []),
        ("versions/records.py", "import otel_loggedmodel.store.listing", [FLOORS, SERVER]),  # which has its prices
        # Within a function, too.
        ("environment.py", "def later():\n    from otel_loggedmodel.versions import model", [FLOORS]),
        ("delivery/segments.py", "import chdb", [SERVER]),
        # A room of which nobody has said where it belongs.
        ("new_room.py", "", [FLOORS]),
    ],
    ids=["nothing", "upwards", "in a function", "of the server", "a new room"],
)
def test_an_import_that_goes_the_wrong_way_is_found(tmp_path: Path, module: str, line: str, broken: list[str]) -> None:
    package = tmp_path / "otel_loggedmodel"
    shutil.copytree(ROOT / "otel_loggedmodel", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (package / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=150
    )
    verdicts = {
        name: verdict
        for name in (FLOORS, SERVER)
        for verdict in ("KEPT", "BROKEN")
        if f"{name} {verdict}" in done.stdout
    }
    assert verdicts == {name: "BROKEN" if name in broken else "KEPT" for name in (FLOORS, SERVER)}, (
        done.stdout + done.stderr
    )
    assert done.returncode == (1 if broken else 0)
