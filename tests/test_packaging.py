# SPDX-License-Identifier: Apache-2.0
"""What is installed, and what importing it pulls in."""

import importlib.metadata
import importlib.resources
import importlib.util
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
    of_delivery = {
        "bounded_queues",
        "delivering",
        "destinations",
        "durable",
        "health",
        "otlp_answers",
        "otlp_sending",
        "spool",
    }
    parts = {"versioning", "entities", "genai", "versions.git", *(f"delivery.{name}" for name in of_delivery)}
    for part in parts:
        assert importlib.util.find_spec(f"otel_loggedmodel.{part}") is not None
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


def test_the_linter_knows_all_that_the_backend_and_its_commands_need() -> None:
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on, as the extra itself
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert "otel-loggedmodel[client]" in extras["server"]
    extra = [*extras["client"], *extras["server"], *extras["mcp"]]
    installed = {re.split(r"[<>=;\[ ]", requirement)[0].replace("-", "_") for requirement in extra} - {
        "otel_loggedmodel"
    }
    contract = next(one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "forbidden")
    modules = {"backports.zstd": "backports", "grpcio_status": "grpc_status", "markdown_it_py": "markdown_it"}
    assert set(contract["forbidden_modules"]) == {modules.get(one, one) for one in installed}


# What code outside this repository imports: taking one away breaks somebody's application.
PUBLIC = {
    "otel_loggedmodel": """
        ActiveModel LoggedModel LoggedModelExporter LoggedModelPropagator LoggedModelSpanProcessor LoggedModelStatus
        __version__ clear_active_model create_external_model delete_logged_model delete_logged_model_tag
        enable_git_model_versioning entities finalize_logged_model genai get_active_model_id get_logged_model instrument
        log_feedback log_model_params search_traces set_active_model set_experiment set_logged_model_tags start_run
        trace use_model
    """,
    "otel_loggedmodel.entities": """
        AssessmentError AssessmentSource AssessmentSourceType Feedback LoggedModel LoggedModelStatus
    """,
    "otel_loggedmodel.genai": """
        AssessmentError AssessmentSource AssessmentSourceType EvaluationResult Feedback Scorer
        enable_git_model_versioning evaluate log_feedback scorer search_traces
    """,
    "otel_loggedmodel.genai.scorers": """
        Bleu Contains EmbeddingSimilarity ExactMatch JSONSchema Judge LatencyBudget NormalizedMatch NumericCloseness
        RegexMatch ResponseLength RougeL Scorer TokenBudget ToolCallCorrectness ValidJSON make_judge scorer
    """,
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_stay_where_they_are(module: str) -> None:
    imported = importlib.import_module(module)
    missing = set(PUBLIC[module].split()) - set(imported.__all__)
    assert not missing
    assert all(getattr(imported, name) is not None for name in PUBLIC[module].split())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        # Each is named in docs/ or in the README.
        ("otel_loggedmodel.propagation", "LoggedModelPropagator"),
        ("otel_loggedmodel.processor", "LoggedModelSpanProcessor"),
        ("otel_loggedmodel.exporter", "LoggedModelExporter"),
        ("otel_loggedmodel.mlflow_server.settings", "Settings"),
    ],
)
def test_documented_modules_stay_where_they_are(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_entry_points_stay_as_they_are() -> None:
    points = {
        (point.group, point.name, point.value)
        for point in importlib.metadata.distribution("otel-loggedmodel").entry_points
    }
    assert points == {
        ("console_scripts", "otel-loggedmodel", "otel_loggedmodel.cli:main"),
        ("opentelemetry_environment_variables", "loggedmodel", "otel_loggedmodel.environment"),
        ("opentelemetry_instrumentor", "loggedmodel", "otel_loggedmodel.instrumentor:LoggedModelInstrumentor"),
        ("opentelemetry_logs_exporter", "loggedmodel", "otel_loggedmodel.log_exporter:LoggedModelLogRecordExporter"),
        ("opentelemetry_traces_exporter", "loggedmodel", "otel_loggedmodel.exporter:LoggedModelExporter"),
        ("pytest11", "loggedmodel", "otel_loggedmodel.pytest_plugin"),
    }


def test_every_source_file_names_its_licence() -> None:
    for folder in ("otel_loggedmodel", "tests", "examples", "benchmarks", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            if "_pb2" not in path.name:
                assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
