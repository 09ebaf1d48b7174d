# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.entities.assessment_source`."""

from otel_loggedmodel.genai.assessments import AssessmentSource, AssessmentSourceType

__all__ = ["AssessmentSource", "AssessmentSourceType"]
