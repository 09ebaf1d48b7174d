# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with each supported Python that is installed here, other than the one that runs this.

All of them run the tests of what can differ: the library, its set-up and its processes. The newest runs those of all
rooms, of the server and of the command line, too; the others do with those of the root, as `make test-oldest` runs all
of the library with the oldest Python. The Collector, git, the browser, what ClickHouse answers, what import and export
read and write, kills of a backend and generated requests do not depend on the Python. Arguments are handed to pytest.
"""

import os
import subprocess
import sys

import environments

# What a run with the newest Python leaves out.
PLACES = (
    *("tests/collector", "tests/versions/git", "tests/examples", "tests/backend", "tests/pages", "tests/store"),
    *(
        "tests/conventions/test_counted.py",
        "tests/conventions/test_recorded_runs.py",
        "tests/test_truth.py",
        "tests/carrying",
        "tests/presenting",
    ),
    *(f"tests/mlflow_interface/test_{name}.py" for name in ("conversations", "datasets", "evaluation", "traces")),
    *(f"tests/server/test_{name}.py" for name in ("fuzz", "mutations", "one_odd_span", "openapi")),
)
# What a run with any other Python leaves out.
ROOMS = (
    *("tests/conventions", "tests/delivery", "tests/genai", "tests/mlflow_interface", "tests/mlflow_server"),
    "tests/versions",
)


def main() -> int:
    """Test with each; 0 if all passed."""
    names = [f"python3.{minor}" for minor in environments.MINORS]
    others = [name for name in names if name in environments.ENVIRONMENTS]
    missing = [name for name in others if environments.find_python(name) is None]
    found = [name for name in others if name not in missing]
    passed = [name for name in found if test(name, is_newest=name == found[-1])]
    failed = [name for name in found if name not in passed]
    print(f"Pythons: passed {passed or 'none'}, failed {failed or 'none'}, not installed here {missing or 'none'}")
    return 1 if failed else 0


def test(name: str, *, is_newest: bool) -> bool:
    """Whether the tests pass with this interpreter."""
    print(f"== {name}", flush=True)
    if not environments.make(name):
        return False
    tests = [environments.python_of(name), "-m", "pytest", "--numprocesses", "auto", "--dist", "worksteal"]
    selected = [f"--ignore={place}" for place in (PLACES if is_newest else ROOMS)]
    variables = {**os.environ, "OTEL_LOGGEDMODEL_TESTS": "quick" if is_newest else "library"}
    done = subprocess.run([*tests, *selected, *sys.argv[1:]], cwd=environments.ROOT, env=variables, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
