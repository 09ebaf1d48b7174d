# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.client`."""

from otel_loggedmodel.interface.client import MlflowClient

__all__ = ["MlflowClient"]
