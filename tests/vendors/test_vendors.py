# SPDX-License-Identifier: Apache-2.0
"""A short script beside each vendor's SDK: its spans arrive and are stamped, versions are known, and it ends in time.

Each script is a process of its own, in the virtual environment that `make test-vendors` has made for the vendor's SDK,
and is killed if it does not end.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.situations import Page
from otlp_receiver import OtlpReceiver

from .setups import VENDORS, Vendor
from .taking import Backend, Taken

HARD_SECONDS = 120
ENVIRONMENTS = Path(__file__).resolve().parents[2] / ".venv"

BEGINNING = """
import json, logging, sys, time
import otel_loggedmodel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

vendor, records = sys.argv[1:]
"""
WORK = """
otel_loggedmodel.set_active_model("my-agent")
tracer = trace.get_tracer("app") if trace.get_tracer_provider() is provider else provider.get_tracer("app")
call = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5-mini"}
with tracer.start_as_current_span("answer"):
    with tracer.start_as_current_span("chat", attributes=call):
        pass
began = time.monotonic()
provider.force_flush(5000)
flushed = time.monotonic()
provider.shutdown()
print(json.dumps({"flush": flushed - began, "shutdown": time.monotonic() - flushed}))
"""
ORDERS = {
    "after": "{set_up}\nassert otel_loggedmodel.instrument(provider)\n",
    "before": "otel_loggedmodel.instrument()\n{set_up}\nassert otel_loggedmodel.instrument(provider)\n",
    "by hand": "{set_up}\n{by_hand}\n",
    "without": "{set_up}\n",
}


class Ran:
    """What a script did."""

    def __init__(self, vendor: Backend, records: Backend, seconds: dict[str, float], log: str) -> None:
        self.vendor, self.records, self.seconds, self.log = vendor, records, seconds, log

    @property
    def own(self) -> dict[str, Taken]:
        """The application's spans at the vendor's."""
        return {span.name: span for span in self.vendor.spans if span.name in ("answer", "chat")}


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    with Backend() as vendor, Backend() as records:
        yield vendor, records


def run(vendor: Vendor, order: str, backends: tuple[Backend, Backend]) -> Ran:
    at_vendor, of_records = backends
    lines = ORDERS[order].format(set_up=vendor.set_up, by_hand=vendor.by_hand)
    python = ENVIRONMENTS / vendor.installed_in / "bin" / "python"
    done = subprocess.run(
        [python, "-W", "ignore", "-c", BEGINNING + lines + WORK, at_vendor.url, f"{of_records.url}/v1/traces"],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": of_records.url,
            **dict(vendor.environment),
        },
        capture_output=True,
        text=True,
        timeout=HARD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Ran(at_vendor, of_records, json.loads(done.stdout.splitlines()[-1]), done.stderr)


def records_in(backend: Backend) -> list[str]:
    return [name for name in backend.names if name.startswith("logged_model.")]


RECORDS = ["logged_model.activated", "logged_model.created"]


def check_stamped(ran: Ran, names: list[str], own: dict[str, Taken]) -> None:
    assert sorted(own) == names
    (model_id,) = {span.model_id for span in own.values()}
    assert model_id is not None
    assert {span.model_id for span in ran.vendor.spans + ran.records.spans if "logged_model" in span.name} == {model_id}
    assert "AttributeError" not in ran.log
    assert "otel_loggedmodel" not in "".join(ran.vendor.metrics)
    # Bounds that a hang would exceed, and no measurements.
    assert ran.seconds["flush"] < 30
    assert ran.seconds["shutdown"] < 60


def names_from(vendor: Vendor) -> list[str]:
    return ["answer", "chat"] if vendor.entries_arrive else ["chat"]


@pytest.mark.parametrize("name", VENDORS)
def test_instrumented_after_the_vendors_set_up(name: str, backends) -> None:
    vendor = VENDORS[name]
    ran = run(vendor, "after", backends)
    check_stamped(ran, names_from(vendor), ran.own)
    assert records_in(ran.vendor if vendor.wraps else ran.records) == RECORDS
    assert ("by themselves" in ran.log) is not vendor.wraps


@pytest.mark.parametrize("name", VENDORS)
def test_instrumented_before_the_vendors_set_up(name: str, backends) -> None:
    """Spans of a provider that is not the global one go to the vendor, those of the global tracers where they went."""
    vendor = VENDORS[name]
    ran = run(vendor, "before", backends)
    assert ("call instrument() after your vendor's set-up" in ran.log) is not vendor.before
    gets_spans = bool(ran.own)
    assert gets_spans or not vendor.before
    own = ran.own or {span.name: span for span in ran.records.spans if span.name in ("answer", "chat")}
    check_stamped(ran, names_from(vendor), own)
    assert {name for backend in (ran.vendor, ran.records) for name in records_in(backend)} == set(RECORDS)


@pytest.mark.parametrize("name", VENDORS)
def test_added_by_hand(name: str, backends) -> None:
    vendor = VENDORS[name]
    ran = run(vendor, "by hand", backends)
    check_stamped(ran, names_from(vendor), ran.own)
    assert records_in(ran.records) == RECORDS


@pytest.mark.parametrize("name", VENDORS)
def test_without_this_library_the_vendor_gets_the_same_spans(name: str, backends) -> None:
    """Else the tests above say nothing."""
    ran = run(VENDORS[name], "without", backends)
    assert sorted(ran.own) == names_from(VENDORS[name])
    assert {span.model_id for span in ran.own.values()} == {None}


def test_the_page_of_vendors(tmp_path) -> None:
    Page("vendors").write_to(tmp_path, ["app.py"])
    with OtlpReceiver() as receiver:
        program = Page("vendors").files["second.py"].replace("http://127.0.0.1:4318", receiver.endpoint)
        (tmp_path / "second.py").write_text(program)
        python = ENVIRONMENTS / "vendors" / "bin" / "python"
        environment = {**os.environ, "HOME": str(tmp_path)}
        subprocess.run([python, "second.py"], cwd=tmp_path, env=environment, timeout=HARD_SECONDS, check=True)
        names = [span.name for span in receiver.spans()]
    assert names == ["logged_model.created", "logged_model.activated", "answer"]
