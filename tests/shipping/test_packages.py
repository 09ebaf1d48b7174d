# SPDX-License-Identifier: Apache-2.0
"""The packages, built and installed as users install them, do what the README prints."""

import email
import json
import re
import shlex
import subprocess
import tarfile
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

import otel_loggedmodel

from .tools import ROOT, TOOLS, environment, serving, tool

README = (ROOT / "README.md").read_text()
NAME = "otel-loggedmodel"


@pytest.fixture(scope="module")
def lean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a new virtual environment without ClickHouse."""
    folder = tmp_path_factory.mktemp("lean")
    tool("uv", "venv", "--quiet", "--python", TOOLS / "python", folder)
    tool("uv", "pip", "install", "--quiet", "--python", folder, f"{wheel}[client]")
    return folder / "bin" / NAME


def metadata(wheel: Path) -> "email.message.Message[str, str]":
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_an_index_would_take_both_packages(built: Path) -> None:
    said = tool("twine", "check", "--strict", *sorted(built.glob("otel*")))
    assert said.count("PASSED") == 2


def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "otel_loggedmodel"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split("\n")
    assert packed == {name for name in tracked if name and (ROOT / name).exists()}


def test_the_font_brings_its_licence(wheel: Path) -> None:
    described = metadata(wheel)
    assert described["License-Expression"] == "Apache-2.0 AND OFL-1.1"
    assert [Path(path).name for path in described.get_all("License-File")] == ["LICENSE", "inter-LICENSE.txt"]


def test_links_of_the_description_lead_somewhere_from_an_index(wheel: Path) -> None:
    text = str(metadata(wheel).get_payload())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert any("/docs/verdicts.md" in link for link in links)
    assert [link for link in links if not link.startswith(("https://", "http://"))] == []
    project = "https://github.com/otel-loggedmodel/otel-loggedmodel/blob/main/"
    assert all((ROOT / link.removeprefix(project)).exists() for link in links if link.startswith(project))


def test_the_tests_can_be_run_from_the_sdist(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "pyproject.toml", "constraints.txt", "tests/conftest.py", "examples/demo/run.py"} <= names


def test_the_library_alone_says_how_to_run_the_command(wheel: Path, tmp_path: Path) -> None:
    tool("uv", "venv", "--quiet", "--python", TOOLS / "python", tmp_path / "base")
    tool("uv", "pip", "install", "--quiet", "--python", tmp_path / "base", wheel)
    done = subprocess.run(
        [tmp_path / "base" / "bin" / NAME, "serve"], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'otel-loggedmodel[server]'" in done.stderr
    assert "uvx --from 'otel-loggedmodel[server]' otel-loggedmodel serve" in done.stderr
    with_version = "import otel_loggedmodel; print(otel_loggedmodel.__version__)"
    python = tmp_path / "base" / "bin" / "python"
    said = subprocess.run([python, "-c", with_version], env=environment(), capture_output=True, text=True, check=True)
    assert said.stdout.strip() == otel_loggedmodel.__version__


def test_the_wheel_serves_lists_and_diagnoses(installed: Path, lean: Path, tmp_path: Path) -> None:
    program = installed / NAME
    with serving([program, "serve", "--data", tmp_path / "data"], tmp_path) as address:
        as_a_browser = urllib.request.Request(address, headers={"Accept": "text/html"})
        with urllib.request.urlopen(as_a_browser, timeout=60) as page:
            assert "<main" in page.read().decode()
        with urllib.request.urlopen(f"{address}/static/inter-latin.woff2", timeout=60) as font:
            assert font.headers["content-type"] == "font/woff2"
        script = f"""
import otel_loggedmodel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
exporter = OTLPSpanExporter("{address}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(exporter)))
otel_loggedmodel.set_active_model(name="packed-agent")
with provider.get_tracer("app").start_as_current_span("answer"):
    pass
provider.shutdown()
"""
        variables = environment(HOME=str(tmp_path), OTEL_LOGGEDMODEL_STORE=address, OTEL_EXPORTER_OTLP_ENDPOINT=address)
        subprocess.run([installed / "python", "-c", script], env=variables, check=True)
        deadline = time.monotonic() + 60
        names: list[str] = []
        while "packed-agent" not in names and time.monotonic() < deadline:
            said = subprocess.run([program, "models", "--json"], env=variables, stdout=subprocess.PIPE, check=True)
            names = [one["name"] for one in json.loads(said.stdout)["versions"]]
        assert "packed-agent" in names
        doctor = subprocess.run([program, "doctor"], env=variables, stdout=subprocess.PIPE, text=True, check=False)
        assert doctor.returncode == 0, doctor.stdout
        said = subprocess.run([lean, "show", "packed-agent"], env=variables, stdout=subprocess.PIPE, check=True)
        assert b"packed-agent" in said.stdout


def test_without_clickhouse_a_store_on_this_machine_says_what_it_needs(lean: Path, tmp_path: Path) -> None:
    files = lean.parent.parent.rglob("*")
    assert sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink()) < 200e6
    for command in (["serve", "--data", tmp_path / "data"], ["models", "--store", tmp_path / "data"]):
        done = subprocess.run([lean, *command], env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert "pip install 'otel-loggedmodel[server]'" in done.stderr
    elsewhere = [lean, "serve", "--store", "clickhouse://127.0.0.1:1/otel"]
    done = subprocess.run(elsewhere, env=environment(), capture_output=True, text=True, check=False)
    assert "127.0.0.1:1" in done.stderr
    assert "pip install" not in done.stderr


def printed(program: str) -> list[str]:
    """The README's line that runs the command at once with this program."""
    (line,) = re.findall(rf"^{program} .*?(?=\s+#|$)", README, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("program", ["uvx", "pipx run"])
def test_a_line_that_runs_the_command_at_once_serves(program: str, wheel: Path, tmp_path: Path) -> None:
    name, *arguments = printed(program)
    assert arguments[-2:] == [NAME, "serve"]
    arguments = [argument.replace(f"{NAME}[server]", f"{wheel}[server]") for argument in arguments[:-1]]
    # The packages of this machine's cache do, and what is made is not kept.
    made = {"PIPX_HOME": str(tmp_path / "pipx"), "PATH": f"{TOOLS}:{environment()['PATH']}"}
    cache = subprocess.run([TOOLS / "uv", "cache", "dir"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with (
        serving(
            [TOOLS / name, *arguments, "serve", "--data", tmp_path / "data"], tmp_path, UV_CACHE_DIR=cache, **made
        ) as address,
        urllib.request.urlopen(address, timeout=60) as page,
    ):
        assert page.status == 200
