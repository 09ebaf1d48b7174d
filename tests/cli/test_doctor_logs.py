# SPDX-License-Identifier: Apache-2.0
"""`doctor` says whether log records go anywhere."""

import pytest

from log_far_end import GrpcLogFarEnd, LogFarEnd
from otel_loggedmodel.commands.diagnosis import log_records
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step


def looked() -> Step:
    step = log_records.look(Deadline(20))
    assert step is not None
    return step


@pytest.mark.parametrize(("kind", "protocol"), [(LogFarEnd, "http/protobuf"), (GrpcLogFarEnd, "grpc")])
def test_an_endpoint_that_takes_them(monkeypatch: pytest.MonkeyPatch, kind: type[LogFarEnd], protocol: str) -> None:
    with kind() as far_end:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", far_end.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        step = looked()
        assert (step.outcome, far_end.records) == (Outcome.OK, [])
        assert step.text.endswith(" takes them")


def test_an_endpoint_that_takes_spans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with LogFarEnd() as far_end:
        far_end.status = 404
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", far_end.endpoint)
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "loggedmodel")
        step = looked()
    assert step.outcome is Outcome.WARNING
    assert step.text.startswith(f"{far_end.logs_endpoint} does not take them (404")
    assert "OTEL_LOGS_EXPORTER=none" in step.advice


def test_an_exporter_that_is_switched_off_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    step = looked()
    assert (step.outcome, "are not sent" in step.text) == (Outcome.OK, True)


def test_where_nothing_says_that_any_are_sent_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_records, "_has_distro", lambda: False)
    monkeypatch.delenv("OTEL_LOGS_EXPORTER", raising=False)
    assert log_records.look(Deadline(1)) is None
