# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.tracking`."""

from typing import Any

from otel_loggedmodel.interface import elsewhere
from otel_loggedmodel.interface.client import MlflowClient
from otel_loggedmodel.interface.tracking import get_tracking_uri, is_tracking_uri_set, set_tracking_uri

__all__ = ["MlflowClient", "get_tracking_uri", "is_tracking_uri_set", "set_tracking_uri"]


def __getattr__(name: str) -> Any:
    return elsewhere.found(__name__, name)
