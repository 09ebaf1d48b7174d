# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with vendors' distributions of OpenTelemetry, each in a virtual environment of its own.

Every distribution pins its own release of OpenTelemetry, and only one can be installed at a time. What each was tested
with is in constraints-<name>.txt. Arguments are handed to pytest.
"""

import os
import subprocess
import sys

import environments

DISTROS = ("elastic", "splunk")


def main() -> int:
    """Test with each; 0 if all passed."""
    failed = [name for name in DISTROS if not test(name)]
    print(f"distributions: failed {failed}" if failed else f"distributions: passed {[*DISTROS]}")
    return 1 if failed else 0


def test(name: str) -> bool:
    """Whether the tests pass with this distribution."""
    print(f"== {name}", flush=True)
    if not environments.make(f"distro-{name}"):
        return False
    python = environments.python_of(f"distro-{name}")
    tests = [python, "-m", "pytest", f"tests/distros/test_{name}.py", *sys.argv[1:]]
    variables = {**os.environ, "OTEL_LOGGEDMODEL_REQUIRE_DISTROS": "1"}
    return subprocess.run(tests, cwd=environments.ROOT, env=variables, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
