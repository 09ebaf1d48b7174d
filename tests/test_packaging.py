# SPDX-License-Identifier: Apache-2.0
"""What is installed, and what importing it pulls in."""

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path

import pytest

import otel_loggedmodel

ROOT = Path(__file__).resolve().parent.parent


def imported_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sorted(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_version_is_that_of_the_distribution_and_the_changelog() -> None:
    assert importlib.metadata.version("otel-loggedmodel") == otel_loggedmodel.__version__
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == otel_loggedmodel.__version__


def test_types_are_for_users_too() -> None:
    assert importlib.resources.files("otel_loggedmodel").joinpath("py.typed").is_file()


def test_all_names_exist_and_nothing_public_is_missing() -> None:
    for name in otel_loggedmodel.__all__:
        assert getattr(otel_loggedmodel, name) is not None
    assert sorted(otel_loggedmodel.__all__) == otel_loggedmodel.__all__


def test_the_core_needs_only_what_was_agreed() -> None:
    requirements = importlib.metadata.requires("otel-loggedmodel") or []
    core = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in requirements if "extra ==" not in requirement}
    assert core == {"opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp", "protobuf"}


def test_importing_loads_neither_exporters_nor_protobuf_nor_extras() -> None:
    added = imported_by("import otel_loggedmodel") - imported_by("import opentelemetry.sdk.trace.export")
    heavy = {"grpc", "requests", "urllib3", "google.protobuf", "fastapi", "httpx", "uvicorn", "asyncio", "mlflow"}
    of_the_server = {"chdb", "clickhouse_connect", "genai_prices", "msgspec", "rich", "starlette", "typer"}
    assert not added & (heavy | of_the_server)


def test_registering_the_processor_loads_only_what_stamping_needs() -> None:
    loaded = imported_by(
        "import otel_loggedmodel; from opentelemetry.sdk.trace import TracerProvider; "
        "TracerProvider().add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())"
    )
    assert "otel_loggedmodel.processor" in loaded
    for part in ("git", "versioning", "entities", "genai", "spool", "durable", "delivering", "otlp_sending", "health"):
        assert not {name for name in loaded if f"{name}.".startswith(f"otel_loggedmodel.{part}.")}


@pytest.mark.parametrize(("package", "name"), [("otel_loggedmodel", "genai"), ("otel_loggedmodel.genai", "evaluate")])
def test_names_that_are_loaded_on_demand_are_there_like_the_others(package: str, name: str) -> None:
    assert name in importlib.import_module(package).__all__
    imported_by(
        f"import {package} as package; assert {{*package.__all__}} <= {{*dir(package)}}; "
        f"from {package} import *; assert {name} is package.{name}; assert not hasattr(package, 'nothing')"
    )


def test_what_is_loaded_on_demand_is_found_through_the_package() -> None:
    imported_by(
        "import otel_loggedmodel as mlflow; mlflow.genai.evaluate; mlflow.entities.Feedback; mlflow.log_feedback"
    )


def test_lower_layers_know_nothing_of_higher_ones() -> None:
    # Each module or package may import those before it.
    order = [
        *("version", "attributes"),
        "mlflow_spans",
        *("_errors", "_random_names", "_decorating", "identity", "model", "environment"),
        *("git", "checkout", "catalogue", "active", "runs", "resolution", "propagation", "records", "messages"),
        *("_lazy", "rebuilt"),
        *("restamping", "segments", "leases", "disk_queue", "memory_queue", "neglected", "spool", "spool_survey"),
        *("uninstrumented", "otlp_payloads", "otlp_sending", "health", "delivering", "durable"),
        *("shipping", "sender", "exporter", "processor", "tracing", "fluent", "versioning", "instrumentor", "genai"),
        "entities",
        *("store", "presenting", "pages", "server", "commands", "cli", "__main__"),
    ]
    package = ROOT / "otel_loggedmodel"
    sources = {path.stem: [path] for path in package.glob("*.py") if path.stem != "__init__"}
    sources |= {path.name: sorted(path.rglob("*.py")) for path in package.iterdir() if (path / "__init__.py").exists()}
    assert set(sources) - {"v1"} == set(order)
    for position, name in enumerate(order):
        for source in sources[name]:
            text = source.read_text()
            used = set(re.findall(r"^\s*(?:from|import) otel_loggedmodel\.(\w+)", text, re.MULTILINE))
            for names in re.findall(r"^\s*from otel_loggedmodel import (.+)", text, re.MULTILINE):
                used |= set(re.split(r",\s*", names))
            above = used - {"v1", name} - set(order[:position])
            assert not above, f"{source.relative_to(ROOT)} imports {sorted(above)}"


def test_every_source_file_names_its_licence() -> None:
    for folder in ("otel_loggedmodel", "tests", "examples", "benchmarks", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            if "_pb2" not in path.name:
                assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
