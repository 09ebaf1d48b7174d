# SPDX-License-Identifier: Apache-2.0
"""What a server has of traces, and linking those without changing anything else of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from otel_loggedmodel.store.results import Span
from otel_loggedmodel.tracking_server.rest import Server
from otel_loggedmodel.tracking_server.traces import RESULT_SPAN

_API: Final = "/api/3.0/mlflow/traces"
_MODEL: Final = "mlflow.modelId"
_ENDED: Final = frozenset({"OK", "ERROR"})


@dataclass(frozen=True)
class FarTrace:
    """A trace as the server has it.

    Attributes:
        info: What the server says of it.
    """

    info: Mapping[str, Any]

    @property
    def experiment_id(self) -> str:
        """The experiment that it is in."""
        location = self.info.get("trace_location", {}).get("mlflow_experiment", {})
        return str(location.get("experiment_id", ""))

    @property
    def model_id(self) -> str | None:
        """The LoggedModel that it is linked to."""
        found: str | None = self.info.get("trace_metadata", {}).get(_MODEL)
        return found

    @property
    def results(self) -> frozenset[str]:
        """The ids of the results' spans, of which it has assessments."""
        said = (assessment.get("metadata", {}).get(RESULT_SPAN) for assessment in self.info.get("assessments", ()))
        return frozenset(span_id for span_id in said if span_id)


def link(server: Server, far: FarTrace, server_id: str, root: Span | None) -> None:
    """Link a trace to a LoggedModel.

    The server replaces what it has of time, duration and state, so it gets back its own; of a trace that has not ended
    there, what the root says.

    Raises:
        ServerError: The server refused, or cannot be asked.
    """
    kept = ("trace_id", "client_request_id", "trace_location", "request_time", "execution_duration", "state")
    info = {key: far.info[key] for key in kept if far.info.get(key) is not None}
    if root is not None and (info.get("state") not in _ENDED or "execution_duration" not in info):
        began = datetime.fromtimestamp(root.start_ns // 1_000_000 / 1000, timezone.utc)
        info["request_time"] = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        info["execution_duration"] = f"{root.duration_ns // 1_000_000 / 1000:.3f}s"
        info["state"] = "ERROR" if root.status.upper().endswith("ERROR") else "OK"
    info["trace_metadata"] = {_MODEL: server_id}
    server.call("POST", _API, {"trace": {"trace_info": info}})
