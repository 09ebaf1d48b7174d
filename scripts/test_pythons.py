# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with each supported Python that is installed here, other than the one that runs this.

Arguments are handed to pytest. The Collector, git, the browser and a backend's hard times do not depend on the Python
and are left out. With Python 3.10, the extra `server` installs nothing, and tests/conftest.py leaves its tests out.
"""

import pathlib
import shutil
import subprocess
import sys

MINORS = (10, 11, 12, 13, 14)
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    """Test with each; 0 if all passed."""
    failed: list[str] = []
    passed: list[str] = []
    missing: list[str] = []
    for minor in MINORS:
        version = f"3.{minor}"
        if sys.version_info[:2] == (3, minor):
            continue  # that is what `make test` is for
        python = find(version)
        if python is None:
            missing.append(version)
            continue
        print(f"== Python {version}", flush=True)
        (passed if test(python, version) else failed).append(version)
    print(f"Pythons: passed {passed or 'none'}, failed {failed or 'none'}, not installed here {missing or 'none'}")
    return 1 if failed else 0


def find(version: str) -> str | None:
    """A working interpreter of this version: on the path, or one that pyenv keeps."""
    kept = sorted((pathlib.Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in (shutil.which(f"python{version}"), *map(str, kept)):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def test(python: str, version: str) -> bool:
    """Whether the tests pass with this interpreter."""
    environment = ROOT / ".venv" / f"python{version}"
    binary = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "venv", environment], check=True)
    install = [binary, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    subprocess.run(
        [*install, "--editable", f"{ROOT}[server,dev,declarative]", "--constraint", str(ROOT / "constraints.txt")],
        check=True,
    )
    places = ("tests/collector", "tests/versions/test_git.py", "tests/test_examples.py", "tests/backend", "tests/pages")
    ignored = [f"--ignore={place}" for place in places]
    tests = [binary, "-m", "pytest", "--quiet", "--numprocesses", "auto", *ignored, *sys.argv[1:]]
    return subprocess.run(tests, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
