# SPDX-License-Identifier: Apache-2.0
"""The part of the interface that MLflow keeps under `mlflow.genai`."""

from otel_loggedmodel.versioning import enable_git_model_versioning

__all__ = ["enable_git_model_versioning"]
