# SPDX-License-Identifier: Apache-2.0
"""From a name or an id, as callers and the environment give it, to the version that it means in this process."""

import dataclasses

from otel_loggedmodel import environment, runs
from otel_loggedmodel.active import Version, process, version_of
from otel_loggedmodel.catalogue import catalogue
from otel_loggedmodel.model import LoggedModel, check_model_name, check_name


def model_for(name: object = None, model_id: object = None) -> LoggedModel:
    """The model that a name or an id stands for; a name that is new here is created as a reference by name.

    Raises:
        TypeError: One of them is not a string.
        ValueError: Neither is given, one of them cannot be a name, or the name is not the id's.
    """
    if model_id is not None:
        return _model_by_id(check_name(model_id, "model_id"), None if name is None else check_model_name(name))
    if name is None:
        raise ValueError(
            'pass the name or the model_id of a version, for instance set_active_model(name="my-agent-v1.0")'
        )
    return _model_by_name(check_model_name(name))


def version_for(model: LoggedModel) -> Version:
    """The version with which a model's spans are stamped."""
    return version_of(model.model_id, model.name)


def activate(version: Version) -> None:
    """Record that a version runs in this process; the first time only."""
    catalogue.activate(version.model_id, version.name)


def read_environment() -> None:
    """Make the version that the environment names, if any, the one behind the process default."""
    model_id = environment.active_model_id()
    name = environment.active_model_name()
    if model_id is not None:
        version = version_for(_model_by_id(model_id, None))
    elif name is not None:
        version = version_for(_model_by_name(name))
    else:
        version = None
    process.set_environment(version)
    if version is not None:
        activate(version)


def _model_by_id(model_id: str, name: str | None) -> LoggedModel:
    known = catalogue.get(model_id)
    if known is None:
        # Made elsewhere: that is fine, no process needs to have seen a version to run it.
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
    return catalogue.newest(experiment_id, name) or catalogue.create(name, experiment_id)
