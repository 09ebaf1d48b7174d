# SPDX-License-Identifier: Apache-2.0
"""Makes the virtual environments that tests run in, each in .venv/<name>, and prints how long each took.

    python3 scripts/environments.py mlflow oldest      # these
    python3 scripts/environments.py --all              # all for which there is a Python, some at a time

One that is there already is made anew only when something that it is made of has changed: its packages, their pins,
pyproject.toml, its Python. `make` makes .venv itself, for `make test`. uv installs where the variable UV names it, as
in .ci/run, or `make` has brought it along, and pip elsewhere.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Installing is downloading, unpacking and compiling: the one waits while another works.
AT_ONCE = 3


@dataclass(frozen=True)
class Environment:
    """What one is made of.

    Attributes:
        extras: Which extras of this project, which is installed from here.
        constraints: The file that pins what was tested together.
        packages: Packages that are installed beside the project.
        python: Its version, such as `3.12`; that of this process where it is not given.
        bare: Packages that are installed without what they depend on.
        or_this: Whether the Python of this process will do where that one is not installed.
    """

    extras: str
    constraints: str
    packages: tuple[str, ...] = ()
    python: str = ""
    bare: tuple[str, ...] = ()
    or_this: bool = False


# Not the extra `dev`, which has OpenTelemetry's own distribution in it.
_DISTRO_TOOLS = (
    "flask",
    "hypothesis",
    "opentelemetry-instrumentation-flask",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
)
# The SDKs of vendors that go together. traceloop-sdk depends on forty instrumentations, of which it needs two.
_VENDORS = (
    *("arize-phoenix-otel", "braintrust", "langfuse", "logfire", "mlflow-tracing", "sentry-sdk"),
    *("aiohttp", "colorama", "cuid", "deprecated", "jinja2", "tenacity", "opentelemetry-semantic-conventions-ai"),
    *("opentelemetry-instrumentation-logging", "opentelemetry-instrumentation-threading"),
)
# They make log records of their events with an OpenTelemetry before 1.39 alone.
_OLDER_EVENTS = (
    "azure-ai-evaluation[opentelemetry]",
    "opentelemetry-distro",
    "opentelemetry-instrumentation-openai-v2",
)
# What makes and checks what is shipped: packages, the site of the documentation, files for other tools.
_TOOLS = (
    *("build", "check-jsonschema", "grafana-foundation-sdk", "hatch-fancy-pypi-readme", "hatchling"),
    *("myst-parser", "pipx", "sphinx", "sphinx-book-theme", "twine", "uv"),
)
MINORS = (10, 11, 12, 13, 14)
ENVIRONMENTS = {
    "integrations": Environment("dev,integrations,declarative", "constraints-integrations.txt"),
    "mlflow": Environment("dev,server,mlflow-server", "constraints-mlflow.txt", ("psycopg2-binary",)),
    "backends": Environment("", "constraints-backends.txt", ("arize-phoenix", "opentelemetry-exporter-zipkin-json")),
    # Whoever has an old OpenTelemetry has an old Python, too.
    "oldest": Environment("dev", "constraints-oldest.txt", python=f"3.{MINORS[0]}", or_this=True),
    "tools": Environment("", "constraints-tools.txt", _TOOLS),
    "vendors": Environment("", "constraints-vendors.txt", _VENDORS, bare=("traceloop-sdk",)),
    "vendor-azure": Environment("", "constraints-azure.txt", ("azure-monitor-opentelemetry",)),
    "older-events": Environment("", "constraints-older-events.txt", _OLDER_EVENTS),
    "distro-elastic": Environment("", "constraints-elastic.txt", ("elastic-opentelemetry", *_DISTRO_TOOLS)),
    "distro-splunk": Environment("", "constraints-splunk.txt", ("splunk-opentelemetry", *_DISTRO_TOOLS)),
    **{
        f"python3.{minor}": Environment("server,mcp,dev,declarative", "constraints.txt", python=f"3.{minor}")
        for minor in MINORS
        if sys.version_info[:2] != (3, minor)  # that one is .venv itself
    },
}


def main() -> int:
    """Make what is asked for; 0 if all of it is there."""
    parser = argparse.ArgumentParser(description="Make the virtual environments that tests run in.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--all", action="store_true", help="all for which there is a Python here")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(ENVIRONMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    names = [name for name in ENVIRONMENTS if find_python(name)] if arguments.all else arguments.names
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return 0 if all(list(threads.map(make, names))) else 1


def python_of(name: str) -> str:
    """Its interpreter."""
    return str(ROOT / ".venv" / name / "bin" / "python")


def find_python(name: str) -> str | None:
    """A working interpreter to make it with: on the path, or one that pyenv keeps."""
    version = ENVIRONMENTS[name].python
    if not version:
        return sys.executable
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in (shutil.which(f"python{version}"), *map(str, kept)):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return sys.executable if ENVIRONMENTS[name].or_this else None


def make(name: str) -> bool:
    """Make one, unless it is there as it should be. Whether it is there now; if not, it was said why."""
    python = find_python(name)
    if python is None:
        print(f".venv/{name}: Python {ENVIRONMENTS[name].python} is not installed here", flush=True)
        return False
    directory = ROOT / ".venv" / name
    stamp, wanted = directory / ".made-of", digest(name, python)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return True
    print(f".venv/{name}: installing ...", flush=True)
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    for command in commands(name, python):
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            print(f"{done.stdout}.venv/{name}: this failed: {' '.join(command)}", flush=True)
            return False
    stamp.write_text(wanted, encoding="utf-8")
    print(f".venv/{name}: installed in {time.monotonic() - started:.0f} s", flush=True)
    return True


def commands(name: str, python: str) -> list[list[str]]:
    """What makes it. Everything is installed at once, so that the installer sees all the pins."""
    environment = ENVIRONMENTS[name]
    project = f"{ROOT}[{environment.extras}]" if environment.extras else str(ROOT)
    what = [*environment.packages, "--editable", project, "--constraint", str(ROOT / environment.constraints)]
    bare = ["--no-deps", *environment.bare, "--constraint", str(ROOT / environment.constraints)]
    directory, binary = str(ROOT / ".venv" / name), python_of(name)
    # `make` has one of its own.
    own = ROOT / ".venv" / "bin" / "uv"
    if uv := os.environ.get("UV") or (str(own) if own.exists() else None):
        make_it = [uv, "venv", "--quiet", "--clear", "--python", python, directory]
        install = [uv, "pip", "install", "--quiet", "--python", binary]
        return [make_it, [*install, *what], *([[*install, *bare]] if environment.bare else [])]
    pip = [binary, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    make_it = [python, "-m", "venv", "--clear", directory]
    return [make_it, [*pip, *what], *([[*pip, *bare]] if environment.bare else [])]


def digest(name: str, python: str) -> str:
    """Of everything that it is made of."""
    environment = ENVIRONMENTS[name]
    parts = [repr(environment), str(Path(python).resolve()), str(ROOT)]
    parts += [(ROOT / file).read_text(encoding="utf-8") for file in ("pyproject.toml", environment.constraints)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
