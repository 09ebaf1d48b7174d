# SPDX-License-Identifier: Apache-2.0
"""Which experiments and LoggedModels a server has, a page at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.commands.exchange.asking import Asked
from otel_loggedmodel.mlflow_server.agreeing import is_duplicate
from otel_loggedmodel.mlflow_server.documents import logged_model_of
from otel_loggedmodel.mlflow_server.paging import pages
from otel_loggedmodel.mlflow_server.rest import ServerError
from otel_loggedmodel.versions.model import LoggedModel

_PAGE: Final = 100
_API: Final = "/api/2.0/mlflow"


class UnknownExperimentError(Exception):
    """The server has no experiment of this id or name."""


@dataclass(frozen=True)
class Experiment:
    """An experiment of a server."""

    experiment_id: str
    name: str


def experiments_of(asked: Asked, wanted: Sequence[str]) -> Iterator[Experiment]:
    """Experiments by id or name. If none is named, all that are not deleted.

    Raises:
        UnknownExperimentError: There is no experiment of one of these ids or names.
        ServerError: The server refused, or cannot be asked.
    """
    for text in wanted:
        yield _experiment(asked, text)
    if not wanted:
        yield from _every_experiment(asked)


def models_of(asked: Asked, experiment: Experiment, filter_text: str | None) -> Iterator[Sequence[LoggedModel]]:
    """The LoggedModels of an experiment in pages, the oldest first, so that those made meanwhile come last.

    Raises:
        ServerError: The server refused, or cannot be asked.
    """
    question: dict[str, Any] = {
        "experiment_ids": [experiment.experiment_id],
        "max_results": _PAGE,
        "order_by": [{"field_name": "creation_timestamp", "ascending": True}],
    }
    if filter_text:
        question["filter"] = filter_text
    for page in pages(asked.call, f"{_API}/logged-models/search", question):
        found = (logged_model_of(document) for document in page.get("models") or ())
        yield [model for model in found if not is_duplicate(model)]


def _experiment(asked: Asked, text: str) -> Experiment:
    # Names may consist of digits alone.
    ways = [("get-by-name", "experiment_name")]
    if text.isdecimal():
        ways.insert(0, ("get", "experiment_id"))
    for path, parameter in ways:
        try:
            answer = asked.call("GET", f"{_API}/experiments/{path}", query={parameter: text})
        except ServerError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue
        if answer["experiment"].get("lifecycle_stage", "active") == "active":
            return _experiment_of(answer["experiment"])
        raise UnknownExperimentError(
            f"the experiment {text!r} is deleted: restore it first (`mlflow experiments restore`)"
        )
    raise UnknownExperimentError(
        f"{asked.server.settings.uri} has no experiment {text!r}: name one by its id or its name; "
        "`mlflow experiments search` lists them"
    )


def _every_experiment(asked: Asked) -> Iterator[Experiment]:
    for page in pages(asked.call, f"{_API}/experiments/search", {"max_results": _PAGE, "view_type": "ACTIVE_ONLY"}):
        yield from map(_experiment_of, page.get("experiments") or ())


def _experiment_of(document: Mapping[str, Any]) -> Experiment:
    return Experiment(str(document["experiment_id"]), str(document.get("name", "")))
