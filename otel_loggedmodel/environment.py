# SPDX-License-Identifier: Apache-2.0
"""The environment variables, each read in one place. A bad value is reported once and then counts as not set.

The table in `docs/environment.md` is made of the names here and of the text under each, by `make docs`.
"""

from __future__ import annotations

import json
import math
import os
import re
from typing import TYPE_CHECKING, Final

from otel_loggedmodel._checking import check_name, check_texts, has_id_shape
from otel_loggedmodel._errors import warn_once

if TYPE_CHECKING:
    from pathlib import Path

OTEL_LOGGEDMODEL_ID: Final = "OTEL_LOGGEDMODEL_ID"
"""Id of the version that spans carry where neither a scope nor a call says otherwise; stamped as it is."""

OTEL_LOGGEDMODEL_NAME: Final = "OTEL_LOGGEDMODEL_NAME"
"""Name of that version, where no id is given: its newest known version, else a reference by name."""

OTEL_LOGGEDMODEL_PARAMS: Final = "OTEL_LOGGEDMODEL_PARAMS"
"""Params of that version, as `key=value,key=value` or as a JSON object of strings; the environment then makes it."""

OTEL_LOGGEDMODEL_TAGS: Final = "OTEL_LOGGEDMODEL_TAGS"
"""Tags of that version, likewise."""

OTEL_LOGGEDMODEL_TYPE: Final = "OTEL_LOGGEDMODEL_TYPE"
"""Type of that version, such as `agent`; likewise."""

OTEL_LOGGEDMODEL_GIT: Final = "OTEL_LOGGEDMODEL_GIT"
"""`1` makes the git checkout in the working directory part of that version; it names it if nothing else does."""

OTEL_LOGGEDMODEL_PROPAGATE: Final = "OTEL_LOGGEDMODEL_PROPAGATE"
"""`1` sends the active version along with requests to other services, as the W3C baggage entry `logged_model.id`."""

OTEL_LOGGEDMODEL_PROPAGATE_HOSTS: Final = "OTEL_LOGGEDMODEL_PROPAGATE_HOSTS"
"""The only hosts that it may go to: `search,*.internal`. Any host where this is not set."""

OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE: Final = "OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE"
"""`1` takes the version of a request from that entry, where nothing in the process says another."""

MLFLOW_ACTIVE_MODEL_ID: Final = "MLFLOW_ACTIVE_MODEL_ID"
"""The same as `OTEL_LOGGEDMODEL_ID`, which wins, under the name that MLflow's users know."""

MLFLOW_EXPERIMENT_ID: Final = "MLFLOW_EXPERIMENT_ID"
"""Experiment of new versions where neither the call nor `set_experiment` names one."""

MLFLOW_EXPERIMENT_NAME: Final = "MLFLOW_EXPERIMENT_NAME"
"""The same, after `MLFLOW_EXPERIMENT_ID`."""

MLFLOW_RUN_ID: Final = "MLFLOW_RUN_ID"
"""Source run of new versions where neither the call nor an active run names one."""

MLFLOW_TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
"""An MLflow server as a backend, `https://mlflow.example.com`; the experiment there is that of the variables above."""

MLFLOW_TRACKING_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
"""User name for that server, where it asks for one."""

MLFLOW_TRACKING_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - the name of a variable
"""The password that belongs to it."""

MLFLOW_TRACKING_TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of a variable
"""Bearer token for that server, where neither of the two is set."""

MLFLOW_WORKSPACE: Final = "MLFLOW_WORKSPACE"
"""Workspace on that server, where it was started with `--enable-workspaces`."""

MLFLOW_TRACKING_INSECURE_TLS: Final = "MLFLOW_TRACKING_INSECURE_TLS"
"""`true` takes any certificate from that server."""

MLFLOW_TRACKING_SERVER_CERT_PATH: Final = "MLFLOW_TRACKING_SERVER_CERT_PATH"
"""File with the authorities that its certificate is checked against."""

MLFLOW_TRACKING_CLIENT_CERT_PATH: Final = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
"""File with the certificate and the key that it is shown."""

MLFLOW_HTTP_REQUEST_TIMEOUT: Final = "MLFLOW_HTTP_REQUEST_TIMEOUT"
"""How long it may take to answer, in seconds; by default 30."""

MLFLOW_GENAI_EVAL_MAX_WORKERS: Final = "MLFLOW_GENAI_EVAL_MAX_WORKERS"
"""How many rows `genai.evaluate` works on at once where `max_workers` does not say it; by default 8."""

OTEL_LOGGEDMODEL_SPOOL: Final = "OTEL_LOGGEDMODEL_SPOOL"
"""`0` keeps nothing for later: what cannot be delivered at once is lost, as without this library."""

OTEL_LOGGEDMODEL_SPOOL_DIR: Final = "OTEL_LOGGEDMODEL_SPOOL_DIR"
"""Where spans are kept that cannot be delivered yet; by default `~/.local/state/otel-loggedmodel/spool`."""

OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES: Final = "OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES"
"""How much disk they may take, for each backend, as in `200MB` or `1GiB`; by default 512 MiB."""

OTEL_LOGGEDMODEL_SPOOL_MAX_AGE: Final = "OTEL_LOGGEDMODEL_SPOOL_MAX_AGE"
"""How long they are kept, in seconds or as in `12h` or `7d`; by default `48h`."""

OTEL_LOGGEDMODEL_REPEAT: Final = "OTEL_LOGGEDMODEL_REPEAT"
"""How long until a version in use is announced again, in seconds or as in `12h`, the default, or `7d`; `0` is never."""

OTEL_LOGGEDMODEL_METRICS: Final = "OTEL_LOGGEDMODEL_METRICS"
"""`1` counts what is delivered, kept and lost, as OpenTelemetry metrics; by default as the SDK counts its own work."""

OTEL_LOGGEDMODEL_MLFLOW: Final = "OTEL_LOGGEDMODEL_MLFLOW"
"""`1` tells MLflow's server, that of `MLFLOW_TRACKING_URI`, of versions and their traces; or a URI, for another one."""

OTEL_LOGGEDMODEL_STORE: Final = "OTEL_LOGGEDMODEL_STORE"
"""Where the command line reads from: a running backend, a directory or a cluster."""
OTEL_LOGGEDMODEL_PRICES: Final = "OTEL_LOGGEDMODEL_PRICES"
"""A file of prices of models, for commands that read a store, and for `serve`."""

OTEL_LOGGEDMODEL_TOKEN: Final = "OTEL_LOGGEDMODEL_TOKEN"  # noqa: S105 - the name of a variable
"""The backend's bearer token, for `serve` and for the commands that ask it."""

# Not under their plain names: `opentelemetry-instrument` makes an option of every name here that begins with OTEL_, and
# the SDK has these already.
_OTLP_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
"""`http/protobuf`, the default, or `grpc`: what `LoggedModelExporter()` delivers over."""
_OTLP_TRACES_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
"""The same, and wins. The other `OTEL_EXPORTER_OTLP_*` variables count as they always do."""
_OTLP_LOGS_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"
"""The same for `LoggedModelLogRecordExporter()`."""
_SDK_METRICS: Final = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
"""`true` has the SDK, and with it this library, report on their own work by metrics."""
_SDK_DISABLED: Final = "OTEL_SDK_DISABLED"
"""`true` switches OpenTelemetry off, and with it this library."""

_AMOUNT: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]*)")
_BYTES: Final = {"": 1, "b": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_REPEAT_SECONDS: Final = 12 * 3600.0
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


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


def model_params() -> dict[str, str]:
    """The params of the version that the environment makes."""
    return _texts(OTEL_LOGGEDMODEL_PARAMS)


def model_tags() -> dict[str, str]:
    """The tags of the version that the environment makes."""
    return _texts(OTEL_LOGGEDMODEL_TAGS)


def model_type() -> str | None:
    """The type of the version that the environment makes."""
    return _text(OTEL_LOGGEDMODEL_TYPE)


def is_git_wanted() -> bool:
    """Whether the git checkout is part of the version that the environment makes."""
    return _switch(OTEL_LOGGEDMODEL_GIT)


def is_propagation_wanted() -> bool:
    """Whether the active version goes out with requests where no scope says otherwise."""
    return _switch(OTEL_LOGGEDMODEL_PROPAGATE)


def propagation_hosts() -> list[str] | None:
    """The hosts that versions may go to, as they are written, or None where any may know."""
    hosts = [host.strip() for host in os.environ.get(OTEL_LOGGEDMODEL_PROPAGATE_HOSTS, "").split(",")]
    return [host for host in hosts if host] or None


def is_baggage_accepted() -> bool:
    """Whether requests may bring their version."""
    return _switch(OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE)


def is_sdk_disabled() -> bool:
    """Whether OpenTelemetry is switched off.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    return os.environ.get(_SDK_DISABLED, "").strip().lower() == "true"


def experiment_id() -> str | None:
    """The experiment of new versions."""
    return _text(MLFLOW_EXPERIMENT_ID) or _text(MLFLOW_EXPERIMENT_NAME)


def forget_active_model() -> None:
    """Take everything out of the environment that makes a version active, so that child processes have none either."""
    for variable in (
        *(OTEL_LOGGEDMODEL_ID, OTEL_LOGGEDMODEL_NAME, OTEL_LOGGEDMODEL_PARAMS, OTEL_LOGGEDMODEL_TAGS),
        *(OTEL_LOGGEDMODEL_TYPE, OTEL_LOGGEDMODEL_GIT, MLFLOW_ACTIVE_MODEL_ID),
    ):
        os.environ.pop(variable, None)


def run_id() -> str | None:
    """The source run of new versions."""
    return _text(MLFLOW_RUN_ID)


def tracking_uri() -> str | None:
    """The MLflow server."""
    return _raw(MLFLOW_TRACKING_URI)


def tracking_experiment() -> tuple[str | None, str | None]:
    """The experiment on the MLflow server: its id, and its name."""
    return _raw(MLFLOW_EXPERIMENT_ID), _raw(MLFLOW_EXPERIMENT_NAME)


def tracking_user() -> tuple[str | None, str | None]:
    """User name and password for the MLflow server."""
    return os.environ.get(MLFLOW_TRACKING_USERNAME) or None, os.environ.get(MLFLOW_TRACKING_PASSWORD) or None


def tracking_token() -> str | None:
    """Bearer token for the MLflow server."""
    return _raw(MLFLOW_TRACKING_TOKEN)


def tracking_workspace() -> str | None:
    """The workspace on the MLflow server."""
    return _raw(MLFLOW_WORKSPACE)


def is_tracking_insecure() -> bool:
    """Whether any certificate of the MLflow server is taken."""
    return _switch(MLFLOW_TRACKING_INSECURE_TLS)


def tracking_server_cert() -> str | None:
    """File with the authorities for the MLflow server's certificate."""
    return _raw(MLFLOW_TRACKING_SERVER_CERT_PATH)


def tracking_client_cert() -> str | None:
    """File with the certificate that the MLflow server is shown."""
    return _raw(MLFLOW_TRACKING_CLIENT_CERT_PATH)


def tracking_timeout() -> float | None:
    """Seconds that the MLflow server may take to answer."""
    return _amount(MLFLOW_HTTP_REQUEST_TIMEOUT, _SECONDS, "seconds, as in 30")


def evaluation_workers() -> int | None:
    """How many rows an evaluation works on at once."""
    workers = _amount(MLFLOW_GENAI_EVAL_MAX_WORKERS, {"": 1}, "a whole number, as in 8")
    if workers is None or workers == int(workers):
        return None if workers is None else int(workers)
    warn_once(MLFLOW_GENAI_EVAL_MAX_WORKERS, "%s is %r: write a whole number", MLFLOW_GENAI_EVAL_MAX_WORKERS, workers)
    return None


def otlp_traces_protocol() -> str:
    """`grpc` or `http/protobuf`, the specification's default.

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    return _otlp_protocol(_OTLP_TRACES_PROTOCOL)


def otlp_logs_protocol() -> str:
    """The same for log records."""
    return _otlp_protocol(_OTLP_LOGS_PROTOCOL)


def _otlp_protocol(of_signal: str) -> str:
    for variable in (of_signal, _OTLP_PROTOCOL):
        protocol = os.environ.get(variable, "").strip().lower()
        if protocol in ("grpc", "http/protobuf"):
            return protocol
        if protocol:
            warn_once(variable, "%s is %r: using http/protobuf; known are grpc and http/protobuf", variable, protocol)
            break
    return "http/protobuf"


def is_spool_wanted() -> bool:
    """Whether what cannot be delivered yet is kept."""
    return _switch(OTEL_LOGGEDMODEL_SPOOL, default=True)


def are_metrics_wanted() -> bool:
    """Whether anybody has asked for metrics about this library's own work."""
    return _switch(OTEL_LOGGEDMODEL_METRICS, default=os.environ.get(_SDK_METRICS, "").strip().lower() == "true")


def spool_directory() -> Path | None:
    """The directory for what could not be delivered yet; None where there is no place for it."""
    # Imported here: an application that only stamps spans has no use for it.
    from pathlib import Path

    value = os.environ.get(OTEL_LOGGEDMODEL_SPOOL_DIR, "").strip()
    try:
        return Path(value).expanduser().absolute() if value else default_spool_directory()
    except (RuntimeError, OSError) as error:  # a user's home, or a working directory, that does not exist
        variable = OTEL_LOGGEDMODEL_SPOOL_DIR
        warn_once(variable, "%s is %r and is ignored: %s", variable, value, error)
        return default_spool_directory()


def default_spool_directory() -> Path | None:
    """`otel-loggedmodel/spool` below the user's state directory; None for a user without one."""
    return state_directory("spool")


def state_directory(name: str) -> Path | None:
    """`otel-loggedmodel/<name>` below the user's state directory, where things are kept that outlive a process.

    Args:
        name: What is kept there.

    Returns:
        None for a user without a home.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/
    """
    from pathlib import Path

    state = os.environ.get("XDG_STATE_HOME", "") or (os.environ.get("LOCALAPPDATA", "") if os.name == "nt" else "")
    try:
        # The specification has relative paths ignored. A user without a home has no state either.
        base = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return base / "otel-loggedmodel" / name if base.is_absolute() else None


def spool_max_bytes() -> int | None:
    """Bytes of disk that may be taken for one destination."""
    found = _amount(OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES, _BYTES, "bytes, as in 536870912, 512MB or 1GiB")
    return None if found is None else int(found)


def spool_max_age() -> float | None:
    """Seconds after which something is not worth delivering."""
    return _amount(OTEL_LOGGEDMODEL_SPOOL_MAX_AGE, _SECONDS, "seconds, as in 172800, 48h or 2d")


def repeat_seconds() -> float:
    """Seconds after which a version that is in use is announced again; infinite for never."""
    if _is_zero(OTEL_LOGGEDMODEL_REPEAT):
        return math.inf
    found = _amount(OTEL_LOGGEDMODEL_REPEAT, _SECONDS, "seconds, as in 43200, 12h or 7d, or 0 for never")
    return _REPEAT_SECONDS if found is None else found


def tracking_server() -> str | bool:
    """The URI of the tracking server that is to know of versions; True for the one that MLflow's own variables name."""
    value = os.environ.get(OTEL_LOGGEDMODEL_MLFLOW, "").strip()
    return value if "://" in value else _switch(OTEL_LOGGEDMODEL_MLFLOW)


def _is_zero(variable: str) -> bool:
    match = _AMOUNT.fullmatch(os.environ.get(variable, "").strip())
    return match is not None and float(match[1]) == 0 and match[2].lower() in _SECONDS


def _amount(variable: str, units: dict[str, int], wanted: str) -> float | None:
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    match = _AMOUNT.fullmatch(value)
    amount = float(match[1]) * units.get(match[2].lower(), 0) if match else 0.0
    if amount > 0 and math.isfinite(amount):
        return amount
    warn_once(variable, "%s is %r and is ignored: write %s", variable, value, wanted)
    return None


def _raw(variable: str) -> str | None:
    return os.environ.get(variable, "").strip() or None


def _text(variable: str) -> str | None:
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    try:
        return check_name(value, variable)
    except ValueError as error:
        warn_once(variable, "%s; it is ignored", error)
        return None


def _texts(variable: str) -> dict[str, str]:
    value = os.environ.get(variable, "").strip()
    if not value:
        return {}
    try:
        if value.startswith("{"):
            return check_texts(json.loads(value), variable)
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(key.strip() and separator for key, separator, _ in pairs):
            raise ValueError(f"{variable} is {value!r}: write key=value,key=value or a JSON object of strings")
        return check_texts({key.strip(): text.strip() for key, _, text in pairs}, variable)
    except (TypeError, ValueError) as error:
        warn_once(variable, "%s: %s; it is ignored", variable, error)
        return {}


def _switch(variable: str, *, default: bool = False) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    if value:
        warn_once(variable, "%s is %r and counts as %s: write 1 or 0", variable, value, "on" if default else "off")
    return default
