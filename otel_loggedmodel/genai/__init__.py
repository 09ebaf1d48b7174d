# SPDX-License-Identifier: Apache-2.0
"""The part of the interface that MLflow keeps under `mlflow.genai`."""

from typing import TYPE_CHECKING

from otel_loggedmodel._lazy import loaded_on_demand

if TYPE_CHECKING:
    from otel_loggedmodel.genai.assessments import AssessmentError, AssessmentSource, AssessmentSourceType, Feedback
    from otel_loggedmodel.genai.evaluation import evaluate
    from otel_loggedmodel.genai.feedback import log_feedback
    from otel_loggedmodel.genai.outcome import EvaluationResult
    from otel_loggedmodel.genai.scoring import Scorer, scorer
    from otel_loggedmodel.genai.stored import search_traces
    from otel_loggedmodel.versioning import enable_git_model_versioning
else:
    __getattr__, __dir__ = loaded_on_demand(
        __name__,
        {
            "AssessmentError": "otel_loggedmodel.genai.assessments",
            "AssessmentSource": "otel_loggedmodel.genai.assessments",
            "AssessmentSourceType": "otel_loggedmodel.genai.assessments",
            "EvaluationResult": "otel_loggedmodel.genai.outcome",
            "Feedback": "otel_loggedmodel.genai.assessments",
            "Scorer": "otel_loggedmodel.genai.scoring",
            "enable_git_model_versioning": "otel_loggedmodel.versioning",
            "evaluate": "otel_loggedmodel.genai.evaluation",
            "log_feedback": "otel_loggedmodel.genai.feedback",
            "scorer": "otel_loggedmodel.genai.scoring",
            "search_traces": "otel_loggedmodel.genai.stored",
        },
    )

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
