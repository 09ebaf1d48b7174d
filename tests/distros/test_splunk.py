# SPDX-License-Identifier: Apache-2.0
"""Splunk's distribution: https://github.com/signalfx/splunk-otel-python."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from otel_loggedmodel.versions import arriving

from .running import OFF, check_stamped, check_switched_off, check_the_same, run

VERSION = version("splunk-opentelemetry")
SPLUNK = {"SPLUNK_ACCESS_TOKEN": "planted"}
PROMPT = "You are " + "very " * 4_000 + "helpful."


def test_one_environment_variable_does_it() -> None:
    ran = run(**SPLUNK, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    check_stamped(ran, "my-agent-v1.0")
    for span in ran.spans:
        assert span.resource["telemetry.distro.name"] == "splunk-opentelemetry"
        assert span.resource["telemetry.distro.version"] == VERSION
        assert span.resource["service.name"] == "shop"
        assert "host.name" in span.resource
    assert [request.headers["x-sf-token"] for request in ran.requests] == ["planted"]
    # It tells the caller of a service under which trace its request went.
    timing = re.fullmatch(r'traceparent;desc="00-(\w+)-(\w+)-01"', ran.facts["headers"]["Server-Timing"])
    assert timing is not None
    assert timing.groups() == (ran.span("GET /").trace_id, ran.span("GET /").span_id)


def test_over_http() -> None:
    ran = run(over_http=True, **SPLUNK, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    check_stamped(ran, "my-agent-v1.0")
    assert [request.headers["x-sf-token"] for request in ran.requests] == ["planted"]


@pytest.mark.parametrize("over_http", [False, True])
def test_what_is_the_distributions_own_stays(over_http: bool) -> None:
    on = run(over_http=over_http, **SPLUNK, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    off = run(over_http=over_http, **SPLUNK, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0", **OFF)
    check_switched_off(off)
    check_the_same(on, off)


def test_its_limits_are_for_spans_and_not_for_versions() -> None:
    ran = run(**SPLUNK, OTEL_LOGGEDMODEL_NAME="my-agent", OTEL_LOGGEDMODEL_PARAMS=f"prompt={PROMPT}")
    assert len(str(ran.span("step").attributes["long"])) == 12_000
    assert len([key for key in ran.span("step").attributes if key.startswith("key-")]) == 200
    arrived = [arriving.Arrived(span.attributes, span.start_ns, int(span.span_id, 16)) for span in ran.spans]
    (created,) = [event for event in arriving.events_of(arrived) if event.kind == "created"]
    assert created.params["prompt"] == PROMPT


def test_a_sampler_that_was_chosen_stays() -> None:
    ran = run(**SPLUNK, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0", OTEL_TRACES_SAMPLER="always_off")
    assert ran.facts["sampler"] == "AlwaysOffSampler"
    assert [span.name for span in ran.spans if "logged_model.event" not in span.attributes] == []


def test_it_can_be_installed_and_left_alone() -> None:
    ran = run(**SPLUNK)
    assert sorted(span.name for span in ran.spans) == ["GET /", "step"]
    assert [key for span in ran.spans for key in span.attributes if key.startswith("logged_model.")] == []


CONFIGURATION = """
file_format: "1.0"
resource:
  attributes:
    - name: service.name
      value: shop
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_grpc:
            endpoint: ${OTEL_EXPORTER_OTLP_ENDPOINT}
propagator:
  composite:
    - tracecontext:
    - baggage:
instrumentation/development:
  python:
    flask: {}
    loggedmodel: {}
"""


def test_declarative_configuration_in_splunks_own_way(tmp_path: Path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(CONFIGURATION)
    ran = run(OTEL_CONFIG_FILE=str(file), MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    check_stamped(ran, "my-agent-v1.0")
    assert {span.resource["telemetry.distro.name"] for span in ran.spans} == {"splunk-opentelemetry"}
