# SPDX-License-Identifier: Apache-2.0
"""The part of the interface that MLflow keeps under `mlflow.genai`."""

from otel_loggedmodel.genai.assessments import AssessmentError, AssessmentSource, AssessmentSourceType, Feedback
from otel_loggedmodel.genai.evaluation import evaluate
from otel_loggedmodel.genai.feedback import log_feedback
from otel_loggedmodel.genai.outcome import EvaluationResult
from otel_loggedmodel.genai.scoring import Scorer, scorer
from otel_loggedmodel.genai.stored import search_traces
from otel_loggedmodel.versioning import enable_git_model_versioning

__all__ = [
    "AssessmentError",
    "AssessmentSource",
    "AssessmentSourceType",
    "EvaluationResult",
    "Feedback",
    "Scorer",
    "enable_git_model_versioning",
    "evaluate",
    "log_feedback",
    "scorer",
    "search_traces",
]
