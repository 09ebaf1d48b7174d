# SPDX-License-Identifier: Apache-2.0
"""scripts/build_collector.py, with a ``go`` that takes no minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .running import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "build_collector.py"
MANIFEST = REPOSITORY / "collector" / "builder.yaml"

# What it needs of the builder: a binary in the folder that the manifest names, in the one where the builder runs.
GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version {version} linux/amd64"; exit; fi
echo "$PWD" >> "$HOME/builds"
echo "this may go to standard output"
{work}
mkdir otelcol && echo "{version}" > otelcol/otelcol && chmod +x otelcol/otelcol
"""


class Machine:
    """A home folder, and a PATH with nothing but a few tools."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cache = home / ".cache" / "otel-loggedmodel"
        self._tools = home / "bin"
        self._tools.mkdir()
        for tool in ("chmod", "mkdir", "sleep"):
            path = shutil.which(tool)
            assert path is not None
            (self._tools / tool).symlink_to(path)

    def install_go(self, version: str = "go1.26.1", work: str = "") -> None:
        self.install("go", GO.format(version=version, work=work))

    def install(self, tool: str, script: str) -> Path:
        path = self._tools / tool
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)
        return path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=REPOSITORY,
            env={"HOME": str(self.home), "PATH": str(self._tools), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def build(self, **environment: str) -> Path:
        status, output, errors = self.run(**environment)
        assert status == 0, errors
        return Path(output.removesuffix("\n"))

    def builds(self) -> int:
        log = self.home / "builds"
        return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def beside_the_sources() -> set[Path]:
    return {path for source in (SCRIPT, MANIFEST) for path in source.parent.iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_builds_once_and_prints_the_path_alone(machine: Machine) -> None:
    machine.install_go()
    before = beside_the_sources()

    binary = machine.build()

    assert (binary.parent.parent, binary.name) == (machine.cache, "otelcol")
    assert os.access(binary, os.X_OK)
    assert machine.run("--print-path")[:2] == (0, f"{binary}\n")
    assert machine.build() == binary
    assert machine.builds() == 1
    # Nothing is left over, and nothing is in the checkout.
    assert {path.name for path in machine.cache.iterdir()} == {binary.parent.name, f"{binary.parent.name}.lock"}
    assert beside_the_sources() == before


def test_another_go_builds_anew(machine: Machine) -> None:
    machine.install_go("go1.26.1")
    first = machine.build()
    machine.install_go("go1.27.0")

    assert machine.run("--print-path")[0] == 3
    assert machine.build() != first


def test_is_kept_in_the_cache_folder_of_the_user(machine: Machine) -> None:
    machine.install_go()
    elsewhere = machine.home / "elsewhere"

    assert machine.build(XDG_CACHE_HOME=str(elsewhere)).is_relative_to(elsewhere / "otel-loggedmodel")
    # Relative paths are to be ignored.
    assert machine.build(XDG_CACHE_HOME="elsewhere").is_relative_to(machine.cache)


def test_two_at_once_build_once(machine: Machine) -> None:
    machine.install_go(work="sleep 1")

    with machine.start() as one, machine.start() as other:
        outputs = {process.communicate(timeout=60)[0] for process in (one, other)}

    assert (one.returncode, other.returncode) == (0, 0)
    assert len(outputs) == machine.builds() == 1


def test_what_was_built_is_found_without_go(machine: Machine) -> None:
    machine.install_go()
    binary = machine.build()
    machine.install_go("go1.20")

    assert machine.run("--print-path")[:2] == (0, f"{binary}\n")


def test_without_a_collector_it_says_how_to_get_one(machine: Machine) -> None:
    status, output, errors = machine.run("--print-path")
    assert (status, output) == (3, "")
    assert "make otelcol" in errors

    status, output, errors = machine.run()
    assert (status, output) == (1, "")
    assert "no `go` on PATH" in errors
    assert "Install Go 1.26 or newer" in errors

    machine.install_go("go1.25.9")
    status, output, errors = machine.run()
    assert (status, output) == (1, "")
    assert "go1.25.9 linux/amd64, which is too old" in errors


def test_a_failed_build_leaves_nothing(machine: Machine) -> None:
    machine.install_go(work="mkdir otelcol; exit 7")

    status, output, errors = machine.run()

    assert (status, output) == (1, "")
    assert "failed with status 7" in errors
    assert [path.suffix for path in machine.cache.iterdir()] == [".lock"]
    assert machine.run("--print-path")[0] == 3


def test_a_collector_of_ones_own_is_taken(machine: Machine) -> None:
    own = machine.install("otelcol-contrib", "#!/bin/sh\n")

    assert machine.run(OTELCOL=str(own))[:2] == (0, f"{own}\n")
    assert machine.run("--print-path", OTELCOL="otelcol-contrib")[:2] == (0, f"{own}\n")

    status, output, errors = machine.run("--print-path", OTELCOL="/nowhere/otelcol")
    assert (status, output) == (1, "")
    assert "OTELCOL is '/nowhere/otelcol', which is no executable file" in errors


def test_all_versions_in_the_manifest_are_of_one_release() -> None:
    lines = MANIFEST.read_text(encoding="utf-8").splitlines()
    (release,) = (line.split()[-1] for line in lines if line.startswith("  version:"))
    versions = {line.split()[-1] for line in lines if line.startswith("  - gomod:") and "/provider/" not in line}

    assert versions == {f"v{release}"}
    assert any(f"cmd/builder@v{release} " in line for line in lines)
