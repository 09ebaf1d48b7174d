# SPDX-License-Identifier: Apache-2.0
"""Finds the version that a name or an id means in this process, as given by callers or by the environment."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from otel_loggedmodel import environment
from otel_loggedmodel._checking import check_model_name, check_name
from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.active import Version, process, version_of
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import LoggedModel

if TYPE_CHECKING:
    from otel_loggedmodel.versions.git import GitState


def model_for(name: object = None, model_id: object = None) -> LoggedModel:
    """The model that a name or an id stands for. A name that is new here becomes a reference by name.

    Raises:
        TypeError: One of them is not a string.
        ValueError: Neither is given, one of them cannot be a name, or the name is not the id's.
    """
    if name is None and model_id is None:
        raise ValueError(
            'pass the name or the model_id of a version, for instance set_active_model(name="my-agent-v1.0")'
        )
    return resolved(
        None if name is None else check_model_name(name),
        None if model_id is None else check_name(model_id, "model_id"),
    )


def resolved(name: str | None, model_id: str | None) -> LoggedModel:
    """The same for a name and an id, one of which is given, that have been checked.

    Raises:
        ValueError: The name is not the id's.
    """
    return _model_by_name(name or "") if model_id is None else _model_by_id(model_id, name)


def version_for(model: LoggedModel) -> Version:
    """The version with which a model's spans are stamped."""
    return version_of(model.model_id, model.name)


def activate(version: Version) -> None:
    """Record that a version runs in this process, the first time only."""
    catalogue.activate(version.model_id, version.name)


def read_environment() -> None:
    """If the environment names or describes a version, put it behind the process default."""
    model = _model_of_environment()
    version = None if model is None else version_for(model)
    process.set_environment(version)
    if version is not None:
        activate(version)


def _model_of_environment() -> LoggedModel | None:
    model_id = environment.active_model_id()
    if model_id is not None:
        return _model_by_id(model_id, None)
    name = environment.active_model_name()
    params, tags, model_type = environment.model_params(), environment.model_tags(), environment.model_type()
    state = _state_of_checkout() if environment.is_git_wanted() else None
    where_from: dict[str, str] = {}
    if state is not None:
        # Imported here, as few applications have their version from git.
        from otel_loggedmodel.versions import checkout

        name = name or checkout.default_name(state)
        tags = {**checkout.what_runs(state), **tags}
        where_from = checkout.where_from(state)
    if name is None:
        if params or tags or model_type:
            warn_once(
                environment.OTEL_LOGGEDMODEL_NAME,
                "the environment describes a version without naming it, and is ignored: set %s",
                environment.OTEL_LOGGEDMODEL_NAME,
            )
        return None
    if not (params or tags or model_type):
        return _model_by_name(name)
    model = catalogue.create(
        name,
        runs.default_experiment_id(),
        model_type=model_type,
        source_run_id=runs.default_run_id(),
        params=params,
        tags=tags,
    )
    return catalogue.update(model.model_id, tags=where_from) if where_from else model


def _state_of_checkout() -> GitState | None:
    from otel_loggedmodel.versions import git

    try:
        return git.read_git_state()
    except git.GitUnavailable as error:
        warn_once(environment.OTEL_LOGGEDMODEL_GIT, "no version from git: %s", error)
        return None


def _model_by_id(model_id: str, name: str | None) -> LoggedModel:
    known = catalogue.get(model_id)
    if known is None:
        # It was made elsewhere. That is fine: a process can run a version that it has never seen.
        return LoggedModel(model_id=model_id, name=name, experiment_id=runs.default_experiment_id())
    if known.name is None:
        return dataclasses.replace(known, name=name)
    if name not in (None, known.name):
        raise ValueError(
            f"model_id={model_id!r} is a version of {known.name!r}, not of {name!r}: pass only one of name and model_id"
        )
    return known


def _model_by_name(name: str) -> LoggedModel:
    experiment_id = runs.default_experiment_id()
    return catalogue.newest(experiment_id, name) or catalogue.refer(name, experiment_id)
