# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities.assessment`."""

from otel_loggedmodel.genai.assessments import AssessmentError, Expectation, Feedback

Assessment = Feedback

__all__ = ["Assessment", "AssessmentError", "Expectation", "Feedback"]
