# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a process as it is when the application starts, and failures that show."""

import importlib.util
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_loggedmodel
from effort import IS_LIBRARY_ALONE, times
from otel_loggedmodel import _errors
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.active import process
from otel_loggedmodel.versions.catalogue import catalogue

pytest_plugins = ["reporting_progress"]

# The backend's tests need the extra `server`; `make test` has installed it and says so, elsewhere they may be left out.
collect_ignore = []
has_server = os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_SERVER") or importlib.util.find_spec("clickhouse_connect")
if IS_LIBRARY_ALONE:
    collect_ignore += ["collector", "versions/git"]
if IS_LIBRARY_ALONE or not has_server:
    collect_ignore += [
        "backend",
        "carrying",
        "cli",
        "conventions/test_counted.py",
        "conventions/test_recorded_runs.py",
        "mlflow_interface/test_conversations.py",
        "mlflow_interface/test_datasets.py",
        "mlflow_interface/test_evaluation.py",
        "mlflow_interface/test_traces.py",
        "pages",
        "presenting",
        "server",
        "store",
        "examples",
        "test_truth.py",
        "collector/test_clickhouse.py",
        "collector/test_doctor.py",
        "collector/test_file_import.py",
    ]
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_INTEGRATIONS"):
    collect_ignore.append("integrations")  # they have an environment of their own: `make test-integrations`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_SENDERS"):
    collect_ignore.append("senders")  # they are built with what other languages bring: `make test-senders`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_DISTROS"):
    collect_ignore.append("distros")  # each has an environment of its own: `make test-distros`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_SHIPPING"):
    collect_ignore.append("shipping")  # what builds and checks it has an environment of its own: `make test-shipping`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_VENDORS"):
    collect_ignore.append("vendors")  # they have environments of their own: `make test-vendors`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_BACKENDS"):
    collect_ignore.append("backends")  # they are installed and built for it: `make test-backends`
if not os.environ.get("OTEL_LOGGEDMODEL_REQUIRE_MLFLOW"):
    collect_ignore.append("with_mlflow")  # it has an environment of its own: `make test-mlflow`

# A shell starts what runs in its background so, and programs that the tests start would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What it keeps belongs with the other leftovers of a run.
set_hypothesis_home_dir(Path(__file__).resolve().parent.parent / ".venv" / ".hypothesis")
hypothesis.settings.register_profile(
    "default",
    database=None,
    # A busy machine is slow, and nothing is wrong with that.
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=times(full=100, quick=15),
)
hypothesis.settings.load_profile("default")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, as many tests wait for another process most of their time.

    Steps of .ci/run that run beside others say how many they have.
    """
    if told := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(told)
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing known, nothing active, nothing in the environment; and what production swallows is raised."""
    for variable in list(os.environ):
        if variable.startswith(
            ("OTEL_EXPORTER", "OTEL_LOGGEDMODEL_ID", "OTEL_LOGGEDMODEL_NAME", "OTEL_LOGGEDMODEL_SPOOL", "MLFLOW_")
        ):
            monkeypatch.delenv(variable)
    # What cannot be delivered is kept there, and not with what the user's own applications keep.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state" / uuid.uuid4().hex))
    catalogue.__init__()  # type: ignore[misc]
    process.__init__()  # type: ignore[misc]
    runs.use_experiment(None)
    monkeypatch.setattr(_errors, "raise_internal_errors", True)
    monkeypatch.setattr(_errors, "_last_report", {})
    monkeypatch.setattr(_errors, "_warned", set())


class Traced(SimpleNamespace):
    """A tracer provider with the library in it, and what it exported."""

    provider: TracerProvider
    memory: InMemorySpanExporter

    @property
    def tracer(self):
        return self.provider.get_tracer("test")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The application's own spans by name."""
        return {span.name: span for span in self.memory.get_finished_spans() if not is_record(span)}

    @property
    def records(self) -> list[ReadableSpan]:
        return [span for span in self.memory.get_finished_spans() if is_record(span)]

    def id_on(self, name: str) -> object:
        return self.spans[name].attributes.get("logged_model.id")

    def is_entry(self, name: str) -> bool:
        """Whether a span links to its model's root span, as entry spans do."""
        span = self.spans[name]
        links = [link for link in span.links if "logged_model.id" in (link.attributes or {})]
        if not links:
            assert "logged_model.name" not in span.attributes
            return False
        assert [link.attributes["logged_model.id"] for link in links] == [span.attributes["logged_model.id"]]
        return True


def is_record(span: ReadableSpan) -> bool:
    return "logged_model.event" in (span.attributes or {})


@pytest.fixture
def make_traced() -> Iterator[Callable[..., Traced]]:
    made: list[TracerProvider] = []

    def make(**processor_arguments) -> Traced:
        provider = TracerProvider(shutdown_on_exit=False)
        made.append(provider)
        memory = InMemorySpanExporter()
        provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor(**processor_arguments))
        provider.add_span_processor(SimpleSpanProcessor(otel_loggedmodel.LoggedModelExporter(memory)))
        return Traced(provider=provider, memory=memory)

    yield make
    for provider in made:
        provider.shutdown()


@pytest.fixture
def traced(make_traced: Callable[..., Traced]) -> Traced:
    return make_traced()
