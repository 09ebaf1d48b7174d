# SPDX-License-Identifier: Apache-2.0
"""`set_tracking_uri`: which MLflow server is meant where one is asked for. Spans go where OpenTelemetry sends them."""

import logging
import os

from otel_loggedmodel import environment
from otel_loggedmodel._checking import check_name

_logger = logging.getLogger(__name__)


def set_tracking_uri(uri: str) -> None:
    """Name the MLflow server that exporters made from now on tell of versions, if they are to tell one.

    Here it does not say where spans go: that is the exporter's matter (OTEL_EXPORTER_OTLP_ENDPOINT). It sets
    MLFLOW_TRACKING_URI, which counts for `LoggedModelExporter(mlflow=True)` and OTEL_LOGGEDMODEL_MLFLOW=1.

    Args:
        uri: Such as `http://localhost:5000`. Anything else, as `databricks` or a path, is kept and means nothing here.

    Raises:
        TypeError: It is no text.
    """
    os.environ[environment.MLFLOW_TRACKING_URI] = check_name(str(uri) if isinstance(uri, os.PathLike) else uri, "uri")
    _logger.info(
        "spans go to where OTEL_EXPORTER_OTLP_ENDPOINT says; to have the MLflow server %s told of versions and their "
        "traces, set OTEL_LOGGEDMODEL_MLFLOW=1",
        uri,
    )


def get_tracking_uri() -> str:
    """The MLflow server that is meant; empty if none is named."""
    return environment.tracking_uri() or ""


def is_tracking_uri_set() -> bool:
    """Whether an MLflow server is named, by `set_tracking_uri` or the environment."""
    return bool(get_tracking_uri())
