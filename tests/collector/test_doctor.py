# SPDX-License-Identifier: Apache-2.0
"""`doctor` knows a real Collector."""

from __future__ import annotations

import pytest

from otel_loggedmodel.commands.diagnosis import backends
from otel_loggedmodel.commands.diagnosis.endpoint import endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline

from .conftest import RunCollector


def test_a_collector_is_known(run_collector: RunCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "PORTS", dict.fromkeys(backends.PORTS, 1))
    with run_collector({"FILE": "nop"}) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        step = backends.recognise(endpoint_of_environment(), Deadline(30))
    assert step.text == f"an OpenTelemetry Collector (or something built on one) answers at {collector.url}"
