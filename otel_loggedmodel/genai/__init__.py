# SPDX-License-Identifier: Apache-2.0
"""The part of the interface that MLflow keeps under `mlflow.genai`."""

from typing import TYPE_CHECKING

from otel_loggedmodel._lazy import loaded_on_demand

if TYPE_CHECKING:
    from otel_loggedmodel.genai import datasets, judges, scorers
    from otel_loggedmodel.genai.annotating import log_expectation
    from otel_loggedmodel.genai.assessments import (
        AssessmentError,
        AssessmentSource,
        AssessmentSourceType,
        Expectation,
        Feedback,
    )
    from otel_loggedmodel.genai.datasets import create_dataset, get_dataset
    from otel_loggedmodel.genai.evaluation import evaluate
    from otel_loggedmodel.genai.feedback import log_feedback
    from otel_loggedmodel.genai.judges import make_judge
    from otel_loggedmodel.genai.outcome import EvaluationResult
    from otel_loggedmodel.genai.scoring import Scorer, scorer
    from otel_loggedmodel.genai.stored import search_traces
    from otel_loggedmodel.versioning import disable_git_model_versioning, enable_git_model_versioning
else:
    __getattr__, __dir__ = loaded_on_demand(
        __name__,
        {
            "AssessmentError": "otel_loggedmodel.genai.assessments",
            "AssessmentSource": "otel_loggedmodel.genai.assessments",
            "AssessmentSourceType": "otel_loggedmodel.genai.assessments",
            "create_dataset": "otel_loggedmodel.genai.datasets",
            "get_dataset": "otel_loggedmodel.genai.datasets",
            "EvaluationResult": "otel_loggedmodel.genai.outcome",
            "Feedback": "otel_loggedmodel.genai.assessments",
            "Scorer": "otel_loggedmodel.genai.scoring",
            "enable_git_model_versioning": "otel_loggedmodel.versioning",
            "evaluate": "otel_loggedmodel.genai.evaluation",
            "log_feedback": "otel_loggedmodel.genai.feedback",
            "scorer": "otel_loggedmodel.genai.scoring",
            "search_traces": "otel_loggedmodel.genai.stored",
            "Expectation": "otel_loggedmodel.genai.assessments",
            "disable_git_model_versioning": "otel_loggedmodel.versioning",
            "datasets": "otel_loggedmodel.genai.datasets",
            "judges": "otel_loggedmodel.genai.judges",
            "log_expectation": "otel_loggedmodel.genai.annotating",
            "make_judge": "otel_loggedmodel.genai.judges",
            "scorers": "otel_loggedmodel.genai.scorers",
        },
        otherwise=("otel_loggedmodel.interface.elsewhere", "found"),
    )

__all__ = [
    "AssessmentError",
    "AssessmentSource",
    "AssessmentSourceType",
    "EvaluationResult",
    "Expectation",
    "Feedback",
    "Scorer",
    "create_dataset",
    "datasets",
    "disable_git_model_versioning",
    "enable_git_model_versioning",
    "evaluate",
    "get_dataset",
    "judges",
    "log_expectation",
    "log_feedback",
    "make_judge",
    "scorer",
    "scorers",
    "search_traces",
]
