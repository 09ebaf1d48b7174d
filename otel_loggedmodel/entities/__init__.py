# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities`, as far as it is here."""

import importlib
from typing import Any

from otel_loggedmodel._span_options import Link, SpanLogLevel
from otel_loggedmodel.entities.assessment import AssessmentError, Expectation, Feedback
from otel_loggedmodel.entities.assessment_source import AssessmentSource, AssessmentSourceType
from otel_loggedmodel.entities.span import Document, Span, SpanEvent, SpanStatus, SpanStatusCode, SpanType
from otel_loggedmodel.genai.datasets import EvaluationDataset
from otel_loggedmodel.genai.kept_rows import DatasetRecord
from otel_loggedmodel.genai.live_span import LiveSpan
from otel_loggedmodel.genai.sessions import Session
from otel_loggedmodel.genai.statuses import TraceState
from otel_loggedmodel.genai.traces import Trace
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, Metric
from otel_loggedmodel.versions.runs import Experiment, Run, RunData, RunInfo

Assessment = Feedback
# A trace is its own `info` and `data`.
TraceData = TraceInfo = Trace

__all__ = [
    "Assessment",
    "AssessmentError",
    "AssessmentSource",
    "AssessmentSourceType",
    "DatasetRecord",
    "Document",
    "EvaluationDataset",
    "Expectation",
    "Experiment",
    "Feedback",
    "Link",
    "LiveSpan",
    "LoggedModel",
    "LoggedModelStatus",
    "Metric",
    "Run",
    "RunData",
    "RunInfo",
    "Session",
    "Span",
    "SpanEvent",
    "SpanLogLevel",
    "SpanStatus",
    "SpanStatusCode",
    "SpanType",
    "Trace",
    "TraceData",
    "TraceInfo",
    "TraceState",
]


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
