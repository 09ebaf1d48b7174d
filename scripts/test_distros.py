# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with vendors' distributions of OpenTelemetry, each in a virtual environment of its own.

Every distribution pins its own release of OpenTelemetry, and only one can be installed at a time. What each was tested
with is in constraints-<name>.txt. Arguments are handed to pytest.
"""

import os
import pathlib
import subprocess
import sys

# The packages of each, by the name of its tests, its constraints and its environment.
DISTROS = {"elastic": "elastic-opentelemetry", "splunk": "splunk-opentelemetry"}
# Not the extra `dev`, which has OpenTelemetry's own distribution in it.
TOOLS = ("flask", "hypothesis", "opentelemetry-instrumentation-flask", "pytest", "pytest-asyncio", "pytest-timeout")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    """Test with each; 0 if all passed."""
    failed = [name for name in DISTROS if not test(name)]
    print(f"distributions: failed {failed}" if failed else f"distributions: passed {[*DISTROS]}")
    return 1 if failed else 0


def test(name: str) -> bool:
    """Whether the tests pass with this distribution."""
    print(f"== {DISTROS[name]}", flush=True)
    python = install(name)
    tests = [python, "-m", "pytest", "--quiet", f"tests/distros/test_{name}.py", *sys.argv[1:]]
    environment = {**os.environ, "OTEL_LOGGEDMODEL_REQUIRE_DISTROS": "1"}
    return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode == 0


def install(name: str) -> str:
    """The interpreter of its environment, with everything installed at once, so that pip sees all the pins."""
    environment = ROOT / ".venv" / f"distro-{name}"
    binary = str(environment / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    command = [binary, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    constraints = str(ROOT / f"constraints-{name}.txt")
    subprocess.run([*command, DISTROS[name], *TOOLS, "--editable", str(ROOT), "--constraint", constraints], check=True)
    return binary


if __name__ == "__main__":
    sys.exit(main())
