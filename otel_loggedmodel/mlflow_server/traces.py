# SPDX-License-Identifier: Apache-2.0
"""Traces on the server: the link from a trace to its version, and assessments, which are our evaluation results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.mlflow_server.assessments import Assessment, assessment_id_of, document_of, timestamp
from otel_loggedmodel.mlflow_server.models import Models, UnknownModelError
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.versions.model import LoggedModel

_TRACES: Final = "/api/3.0/mlflow/traces"
MODEL_ID: Final = "mlflow.modelId"
_PAGE: Final = 100


@dataclasses.dataclass(frozen=True)
class TraceLink:
    """What links a trace to a version. It is made by the process in which the trace's true root has ended.

    Attributes:
        trace_id: OpenTelemetry's id of the trace.
        start_ns: When its root began, in nanoseconds since the epoch.
        end_ns: When its root ended.
        is_error: Whether its root failed.
        model_id: The version, by our id, the server's, or its name.
        model_name: The version's name, if the root tells it. It is enough to make a LoggedModel.
    """

    trace_id: int
    start_ns: int
    end_ns: int
    is_error: bool
    model_id: str
    model_name: str | None = None


class Traces:
    """The traces of a server's experiment. Any thread may call it.

    Args:
        server: The server.
        models: Its LoggedModels.
    """

    def __init__(self, server: Server, models: Models) -> None:
        self._server = server
        self._models = models

    def link(self, link: TraceLink, *, as_it_is: bool = False) -> None:
        """Link a trace to its version, before or after its spans arrive. Linking it again changes nothing.

        Args:
            link: What to link to what.
            as_it_is: If the version is unknown on both sides, link to its id all the same, and do not raise.

        Raises:
            UnknownModelError: As of `Models.id_of`; more may be known later.
            ServerError: The server refused, or could not be asked.
        """
        model = LoggedModel(model_id=link.model_id, name=link.model_name) if link.model_name else None
        try:
            server_id = self._models.id_of(link.model_id, model)
        except UnknownModelError:
            if not as_it_is:
                raise
            server_id = link.model_id
        put_link(self._server, self._info_of(link), server_id)

    def assess(self, assessment: Assessment) -> None:
        """Add an assessment to its trace. Adding it again changes nothing.

        Raises:
            ServerError: The server refused, or could not be asked. If it `is_absent`, the trace is not there yet.
        """
        path = f"{_TRACES}/{on_server(assessment.trace_id)}/assessments"
        try:
            self._server.call("POST", path, {"assessment": document_of(assessment)})
        except ServerError as error:
            if error.status == 403 and not self.known([assessment.trace_id]):
                raise ServerError(str(error), status=404, error_code=error.error_code, is_of_content=True) from error
            # The server refuses a second assessment with the same id, in words that differ between databases.
            if not error.is_of_content or not self._is_there(f"{path}/{assessment_id_of(assessment)}"):
                raise

    def infos(self, trace_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """What the server knows of traces, with their assessments. Traces that it does not have are left out.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        wanted = list(dict.fromkeys(trace_ids))
        pages = [wanted[start : start + _PAGE] for start in range(0, len(wanted), _PAGE)]
        infos = [info for page in pages for info in self._page_of_infos(page)]
        return {int(str(info["trace_id"]).removeprefix("tr-"), 16): info for info in infos}

    def known(self, trace_ids: Iterable[int]) -> set[int]:
        """Those of the traces that the server has.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        return set(self.infos(trace_ids))

    def _page_of_infos(self, trace_ids: Sequence[int]) -> list[dict[str, Any]]:
        question = {"trace_ids": [on_server(trace_id) for trace_id in trace_ids]}
        try:
            return list(self._server.call("POST", f"{_TRACES}/batchGetInfos", question).get("trace_infos") or ())
        except ServerError as error:
            if not error.may_be_absent:
                raise
        # If one trace is not there, a server with users forbids the question for all of them.
        half = len(trace_ids) // 2
        return [*self._page_of_infos(trace_ids[:half]), *self._page_of_infos(trace_ids[half:])] if half else []

    def _info_of(self, link: TraceLink) -> dict[str, Any]:
        # It has to be complete, as the server overwrites with nothing what is left out.
        return {
            "trace_id": on_server(link.trace_id),
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": self._server.experiment_id},
            },
            **ending_of(link.start_ns, link.end_ns, is_error=link.is_error),
        }

    def _is_there(self, path: str) -> bool:
        try:
            self._server.call("GET", path)
        except ServerError as error:
            if error.may_pass:
                raise
            return False
        return True


def put_link(server: Server, info: Mapping[str, Any], server_id: str) -> None:
    """Write what the server is to know of a trace, with the LoggedModel that it is linked to.

    Raises:
        ServerError: The server refused, or could not be asked.
    """
    linked = {**info, "trace_metadata": {MODEL_ID: server_id}}
    server.call("POST", _TRACES, {"trace": {"trace_info": linked}})


def ending_of(start_ns: int, end_ns: int, *, is_error: bool) -> dict[str, str]:
    """What the server knows of a trace once its root has ended."""
    return {
        "request_time": timestamp(start_ns),
        "execution_duration": f"{max(0, end_ns - start_ns) / 1e9:.9f}s",
        "state": "ERROR" if is_error else "OK",
    }


def on_server(trace_id: int) -> str:
    """The server's id of a trace."""
    return f"tr-{trace_id:032x}"
