# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities`, as far as it is here."""

from otel_loggedmodel.entities.assessment import AssessmentError, Expectation, Feedback
from otel_loggedmodel.entities.assessment_source import AssessmentSource, AssessmentSourceType
from otel_loggedmodel.entities.span import SpanType
from otel_loggedmodel.genai.traces import Trace, TraceSpan
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, Metric
from otel_loggedmodel.versions.runs import Experiment, Run, RunInfo

Assessment = Feedback
Span = TraceSpan

__all__ = [
    "Assessment",
    "AssessmentError",
    "AssessmentSource",
    "AssessmentSourceType",
    "Expectation",
    "Experiment",
    "Feedback",
    "LoggedModel",
    "LoggedModelStatus",
    "Metric",
    "Run",
    "RunInfo",
    "Span",
    "SpanType",
    "Trace",
]
