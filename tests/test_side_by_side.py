# SPDX-License-Identifier: Apache-2.0
"""The steps of .ci/run, two at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "scripts" / "side_by_side.py"


def run(*steps: str) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [sys.executable, PROGRAM, *steps], env=variables, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_steps_say_is_printed_whole_with_their_times(tmp_path: Path) -> None:
    """Each of two waits for the other in the middle of what it says."""

    def met(mine: str, other: str) -> str:
        wait = f"touch {tmp_path / mine}; until [ -e {tmp_path / other} ]; do sleep 0.05; done"
        return f"{mine} here={wait}; echo {mine} 1; echo {mine} 2 >&2"

    done = run(met("one", "two"), met("two", "one"))
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("one", "two"):
        assert re.search(rf"^== {name} here\n{name} 1\n{name} 2\n== {name} here: \d+ s \(", done.stdout, re.MULTILINE)


def test_a_step_that_fails_fails_the_run_and_the_others_run_all_the_same() -> None:
    done = run("a=exit 3", "b=echo said by b", "c=false", "d=echo said by d")
    assert done.returncode == 1
    assert "FAILED with exit status 3 (" in done.stdout
    assert "\nsaid by b\n" in done.stdout
    assert "\nsaid by d\n" in done.stdout
    assert done.stdout.endswith("\nfailed: a, c\n") or done.stdout.endswith("\nfailed: c, a\n")


def test_a_command_is_a_line_of_the_shell_and_pytest_remembers_for_each_step_alone() -> None:
    done = run("tests=A='b = c' && echo \"[$A] $PYTEST_ADDOPTS\"")
    assert "\n[b = c] -o cache_dir=.venv/.pytest_cache/tests\n" in done.stdout
    # What a name has that a shell would take for more than a letter is left out.
    program = 'import os, shlex; print(shlex.split(os.environ["PYTEST_ADDOPTS"]))'
    done = run(f"tests with a vendor's set-ups={sys.executable} -c '{program}'")
    assert "['-o', 'cache_dir=.venv/.pytest_cache/tests-with-a-vendor-s-set-ups']" in done.stdout
