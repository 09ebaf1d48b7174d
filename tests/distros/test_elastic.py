# SPDX-License-Identifier: Apache-2.0
"""Elastic's distribution: https://www.elastic.co/docs/reference/opentelemetry/edot-sdks/python/configuration."""

from importlib.metadata import version

import pytest

from .running import OFF, check_stamped, check_switched_off, check_the_same, run

VERSION = version("elastic-opentelemetry")
# The defaults, without the detectors that ask the metadata servers of clouds.
ELASTIC = {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process_runtime,os,telemetry_distro,service_instance,otel"}


def test_one_environment_variable_does_it() -> None:
    ran = run(**ELASTIC, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    check_stamped(ran, "my-agent-v1.0")
    for span in ran.spans:
        assert span.resource["telemetry.distro.name"] == "elastic"
        assert span.resource["telemetry.distro.version"] == VERSION
        assert span.resource["service.name"] == "shop"
    assert [request.headers["user-agent"].split()[0] for request in ran.requests] == [
        f"elastic-otlp-grpc-python/{VERSION}"
    ]
    # Its own sampler says on each trace with which probability it was taken; records are past every sampler.
    assert ran.span("GET /").trace_state == "ot=th:0"
    assert ran.span("logged_model.activated").trace_state == "ot=rv:ffffffffffffff"


def test_over_http() -> None:
    ran = run(over_http=True, **ELASTIC, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    check_stamped(ran, "my-agent-v1.0")
    assert [request.headers["user-agent"].split()[0] for request in ran.requests] == [
        f"elastic-otlp-http-python/{VERSION}"
    ]


@pytest.mark.parametrize("over_http", [False, True])
def test_what_is_the_distributions_own_stays(over_http: bool) -> None:
    on = run(over_http=over_http, **ELASTIC, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
    off = run(over_http=over_http, **ELASTIC, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0", **OFF)
    check_switched_off(off)
    check_the_same(on, off)


def test_the_distributions_sampling_rate_stays() -> None:
    ran = run(**ELASTIC, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0", OTEL_TRACES_SAMPLER_ARG="0")
    assert ran.facts["sampler"] == run(**ELASTIC, **OFF, OTEL_TRACES_SAMPLER_ARG="0").facts["sampler"]
    assert "ratio=0.0" in ran.facts["sampler"]
    assert [span.name for span in ran.spans if "logged_model.event" not in span.attributes] == []


def test_it_can_be_installed_and_left_alone() -> None:
    ran = run(**ELASTIC)
    assert sorted(span.name for span in ran.spans) == ["GET /", "step"]
    assert [key for span in ran.spans for key in span.attributes if key.startswith("logged_model.")] == []
