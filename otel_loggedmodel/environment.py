# SPDX-License-Identifier: Apache-2.0
"""The environment variables, each read in one place. A bad value is reported once and then counts as not set."""

import os
from typing import Final

from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.identity import has_id_shape
from otel_loggedmodel.model import check_name

OTEL_LOGGEDMODEL_ID: Final = "OTEL_LOGGEDMODEL_ID"
"""Id of the version that spans carry where neither a scope nor a call says otherwise; stamped as it is."""

OTEL_LOGGEDMODEL_NAME: Final = "OTEL_LOGGEDMODEL_NAME"
"""Name of that version, where no id is given: its newest known version, else a reference by name."""

MLFLOW_ACTIVE_MODEL_ID: Final = "MLFLOW_ACTIVE_MODEL_ID"
"""The same as OTEL_LOGGEDMODEL_ID, which wins, under the name that MLflow's users know."""

MLFLOW_EXPERIMENT_ID: Final = "MLFLOW_EXPERIMENT_ID"
"""Experiment of new versions where neither the call nor `set_experiment` names one."""

MLFLOW_EXPERIMENT_NAME: Final = "MLFLOW_EXPERIMENT_NAME"
"""The same, after MLFLOW_EXPERIMENT_ID."""

MLFLOW_RUN_ID: Final = "MLFLOW_RUN_ID"
"""Source run of new versions where neither the call nor an active run names one."""

OTEL_EXPORTER_OTLP_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"


def active_model_id() -> str | None:
    """The id that the environment makes active."""
    return _text(OTEL_LOGGEDMODEL_ID) or _text(MLFLOW_ACTIVE_MODEL_ID)


def active_model_name() -> str | None:
    """The name that the environment makes active."""
    name = _text(OTEL_LOGGEDMODEL_NAME)
    if name is not None and has_id_shape(name):
        warn_once(
            OTEL_LOGGEDMODEL_NAME, "%s is an id and is ignored: set %s", OTEL_LOGGEDMODEL_NAME, OTEL_LOGGEDMODEL_ID
        )
        return None
    return name


def experiment_id() -> str | None:
    """The experiment of new versions."""
    return _text(MLFLOW_EXPERIMENT_ID) or _text(MLFLOW_EXPERIMENT_NAME)


def run_id() -> str | None:
    """The source run of new versions."""
    return _text(MLFLOW_RUN_ID)


def otlp_traces_protocol() -> str:
    """`grpc` or `http/protobuf`, the specification's default.

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    for variable in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = os.environ.get(variable, "").strip().lower()
        if protocol in ("grpc", "http/protobuf"):
            return protocol
        if protocol:
            warn_once(variable, "%s is %r: using http/protobuf; known are grpc and http/protobuf", variable, protocol)
            break
    return "http/protobuf"


def _text(variable: str) -> str | None:
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    try:
        return check_name(value, variable)
    except ValueError as error:
        warn_once(variable, "%s; it is ignored", error)
        return None
