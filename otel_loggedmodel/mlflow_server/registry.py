# SPDX-License-Identifier: Apache-2.0
"""The server's calls on LoggedModels, one method each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from otel_loggedmodel.mlflow_server import documents
from otel_loggedmodel.mlflow_server.paging import pages
from otel_loggedmodel.mlflow_server.rest import Server, ServerError, quoted
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus

_MODELS: Final = "/api/2.0/mlflow/logged-models"
_PAGE: Final = 100


class Registry:
    """The LoggedModels of a server's experiment. All methods raise `ServerError`.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def get(self, server_id: str) -> LoggedModel | None:
        """The LoggedModel of an id, in any experiment.

        None if there is none, if it is deleted, or if we may not see it.
        """
        try:
            return documents.logged_model_of(self._server.call("GET", _path(server_id))["model"])
        except ServerError as error:
            if error.may_be_absent:
                return None
            raise

    def search(self, condition: str) -> Iterator[LoggedModel]:
        """The LoggedModels of the experiment that a condition of MLflow's filter language holds for, newest first."""
        question = {
            "experiment_ids": [self._server.experiment_id],
            "filter": condition,
            "order_by": [{"field_name": "creation_timestamp", "ascending": False}],
            "max_results": _PAGE,
        }
        for page in pages(self._server.call, f"{_MODELS}/search", question):
            for document in page.get("models") or ():
                yield documents.logged_model_of(document)

    def tagged(self, model_id: str) -> list[LoggedModel]:
        """The LoggedModels that were made for one of our ids."""
        return list(self.search(f"tags.`{documents.ID}` = '{model_id}'"))

    def named(self, name: str) -> Iterator[LoggedModel]:
        """The LoggedModels of a name, newest first. Names that become the same on the server are told apart."""
        found = self.search(f"name = '{documents.legal_name(name)}'")
        return (model for model in found if documents.original_name(model) == name)

    def create(self, model_id: str, model: LoggedModel, name: str) -> LoggedModel:
        """Make a LoggedModel for a version."""
        wanted = documents.creation_of(model_id, model, name, self._server.experiment_id)
        return documents.logged_model_of(self._server.call("POST", _MODELS, wanted)["model"])

    def delete(self, server_id: str) -> None:
        """Delete a LoggedModel. It may be gone already."""
        try:
            self._server.call("DELETE", _path(server_id))
        except ServerError as error:
            if not error.is_absent:
                raise

    def add_params(self, server_id: str, params: Mapping[str, str]) -> None:
        """Add params. If one of them is there already, all are refused."""
        body = {"model_id": server_id, "params": documents.pairs(params)}
        self._server.call("POST", f"{_path(server_id)}/params", body)

    def set_tags(self, server_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, and leave others as they are."""
        self._server.call("PATCH", f"{_path(server_id)}/tags", {"tags": documents.pairs(tags)})

    def delete_tag(self, server_id: str, key: str) -> None:
        """Delete a tag. It may be gone already."""
        if "/" in key or key in (".", ".."):
            self.set_tags(server_id, {key: ""})  # no path leads to it, so it can only be emptied
            return
        try:
            self._server.call("DELETE", f"{_path(server_id)}/tags/{quoted(key)}")
        except ServerError as error:
            if not error.is_absent:
                raise

    def set_status(self, server_id: str, status: LoggedModelStatus) -> None:
        """Set the status."""
        body = {"model_id": server_id, "status": documents.on_server(status)}
        self._server.call("PATCH", _path(server_id), body)


def _path(server_id: str) -> str:
    return f"{_MODELS}/{quoted(server_id)}"
