# SPDX-License-Identifier: Apache-2.0
"""What a server knows of traces, and how they are linked without changing anything else of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.conventions.status import is_error
from otel_loggedmodel.mlflow_server.assessments import Assessment, assessment_id_of
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.traces import MODEL_ID, ending_of, put_link
from otel_loggedmodel.store.trace_results import Span

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
        found: str | None = self.info.get("trace_metadata", {}).get(MODEL_ID)
        return found

    def has(self, assessment: Assessment) -> bool:
        """Whether that was said of it already."""
        wanted = assessment_id_of(assessment)
        return any(said.get("assessment_id") == wanted for said in self.info.get("assessments") or ())


def link(server: Server, far: FarTrace, server_id: str, root: Span | None) -> None:
    """Link a trace to a LoggedModel.

    The server replaces time, duration and state by what it is told, so it is told its own. If the trace has not ended
    there, it is told what the root says.

    Raises:
        ServerError: The server refused, or cannot be asked.
    """
    kept = ("trace_id", "client_request_id", "trace_location", "request_time", "execution_duration", "state")
    info = {key: far.info[key] for key in kept if far.info.get(key) is not None}
    if root is not None and (info.get("state") not in _ENDED or "execution_duration" not in info):
        info |= ending_of(root.start_ns, root.start_ns + root.duration_ns, is_error=is_error(root.status))
    put_link(server, info, server_id)
