# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities`, as far as it is here."""

from otel_loggedmodel.genai.assessments import AssessmentError, AssessmentSource, AssessmentSourceType, Feedback
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus

__all__ = [
    "AssessmentError",
    "AssessmentSource",
    "AssessmentSourceType",
    "Feedback",
    "LoggedModel",
    "LoggedModelStatus",
]
