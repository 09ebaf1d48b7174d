# SPDX-License-Identifier: Apache-2.0
"""The functions that users call, named as MLflow's: a thin layer that checks arguments and delegates.

A caller's mistake raises at once and says what to do. Nothing here touches a network or a disk (reading the state of a
git checkout aside, see `enable_git_model_versioning`).
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from otel_loggedmodel import environment, propagation
from otel_loggedmodel._checking import (
    MAX_MODEL_BYTES,
    check_model_name,
    check_name,
    check_texts,
    has_id_shape,
    too_large,
)
from otel_loggedmodel._decorating import Around, run_inside
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions._random_names import random_name
from otel_loggedmodel.versions.active import ProcessDefault, current_version, enter_scope, leave_scope, process
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import ActiveModel, LoggedModel, LoggedModelStatus, check_status
from otel_loggedmodel.versions.resolution import activate, model_for, read_environment, resolved, version_for

F = TypeVar("F", bound=Callable[..., Any])


# Which version is active


def set_active_model(name: str | None = None, model_id: str | None = None) -> ActiveModel:
    """Make a version the active one: for the process as a bare call, for the block as a context manager.

    A bare call sets what every thread falls back to. As a context manager, `with set_active_model(...) as model`, the
    version is active inside the block only, and the process default is what it was before. Between the call and the
    block the default is briefly the new one, so use `use_model` for routing single requests.

    Args:
        name: Name of the version: the newest that this process knows, else a reference that readers resolve.
        model_id: Id of a version, which may have been made elsewhere.

    Returns:
        The version, usable as a context manager.

    Raises:
        TypeError: An argument is not a string.
        ValueError: Neither is given, one cannot be a name, or the id is known under another name.
    """
    model = model_for(name, model_id)
    version = version_for(model)
    activate(version)
    return ActiveModel.of(model, ProcessDefault(version))


class use_model:
    """Make a version active inside a `with` block or a decorated function, and nowhere else.

    It touches only the current Context, so concurrent requests can each have their own version. It decorates plain and
    async functions, generators and async generators; the body of a generator runs with the version, its consumer
    without. Decorate an async generator, rather than entering the block in its body: a consumer that leaves it early
    would stay in the version. Names are resolved each time the scope is entered.

    Args:
        model: A LoggedModel, or the name or the id of a version.
        name: Name of the version.
        model_id: Id of the version, which may have been made elsewhere.
        propagate: Whether the version goes out with the requests that are made inside, as the W3C baggage entry
            `logged_model.id`; see `LoggedModelPropagator` for which hosts. By default as in the enclosing scope,
            else as OTEL_LOGGEDMODEL_PROPAGATE says, else not.

    Raises:
        TypeError: An argument is not a string, or more than one is given.
        ValueError: None is given, or one cannot be a name.
    """

    def __init__(
        self,
        model: LoggedModel | str | None = None,
        *,
        name: str | None = None,
        model_id: str | None = None,
        propagate: bool | None = None,
    ) -> None:
        if propagate not in (None, True, False):
            raise TypeError(
                f"propagate is {propagate!r}: pass True or False; hosts belong to LoggedModelPropagator(hosts=...)"
            )
        self._propagate = propagate
        if model is not None and not (name is None and model_id is None):
            raise TypeError("use_model takes a model, or a name or model_id, not both")
        self._name: str | None
        self._model_id: str | None
        if isinstance(model, LoggedModel):
            self._name, self._model_id = model.name, model.model_id
            return
        if isinstance(model, str):
            if has_id_shape(model) or catalogue.get(model) is not None:
                model_id = model
            else:
                name = model
        elif model is not None:
            raise TypeError(f"model is {type(model).__name__}: pass a LoggedModel, a name, or model_id=...")
        if name is None and model_id is None:
            raise ValueError(
                'pass a LoggedModel, or the name or model_id of a version: use_model(name="my-agent-v1.0")'
            )
        self._name = None if name is None else check_model_name(name)
        self._model_id = None if model_id is None else check_name(model_id, "model_id")

    def __enter__(self) -> LoggedModel:
        # Resolved each time, checked once: this is on the path of requests.
        model = resolved(self._name, self._model_id)
        version = version_for(model)
        activate(version)
        if self._propagate:
            propagation.install()
        enter_scope(version, self, self._propagate)
        return model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave_scope(self, kind)

    def __call__(self, function: F) -> F:
        """Decorate a function: each call, or the whole iteration of a generator, happens inside the scope."""
        if not callable(function):
            raise TypeError(f"use_model decorates functions, not {type(function).__name__}")
        return run_inside(function, lambda args, kwargs: _InScope(self))


class _InScope(Around):
    def __init__(self, scope: use_model) -> None:
        self._scope = scope

    def enter(self) -> None:
        self._scope.__enter__()

    def leave(self, error: BaseException | None) -> None:
        self._scope.__exit__(None, None, None)


def get_active_model_id() -> str | None:
    """The id that a span started here and now would carry, or None where no version is active."""
    if not process.environment_was_read:
        read_environment()
    version = current_version() or (propagation.version_from_baggage(None) if process.accepts_baggage else None)
    return None if version is None else version.model_id


def clear_active_model() -> None:
    """Have no active version outside of scopes, not even the environment's, until one is set again.

    The variables that name one are taken out of the environment, so that processes which this one starts have none.
    """
    process.clear()
    environment.forget_active_model()


# Making and changing versions


def create_external_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Create a version. The same arguments give the same version in every process, and any difference another one.

    Args:
        name: What the versions of one application have in common; a random readable name by default.
        source_run_id: The run it comes from; by default the active run, MLflow's active run, or MLFLOW_RUN_ID.
        tags: Strings to find it by; may change later.
        params: Strings that configure it; write-once.
        model_type: A category, such as `"agent"`.
        experiment_id: The experiment; by default that of the source run, if it was begun in this process, else that of
            `set_experiment`, else MLFLOW_EXPERIMENT_ID, else MLFLOW_EXPERIMENT_NAME, else "0".

    Returns:
        The version, `READY`.

    Raises:
        TypeError: An argument has the wrong type; for params and tags the message names the key and the fix.
        ValueError: A text cannot be carried, or all together are larger than 1 MiB.
    """
    source_run_id = runs.default_run_id() if source_run_id is None else check_name(source_run_id, "source_run_id")
    if experiment_id is None:
        experiment_id = runs.experiment_id_of(source_run_id) or runs.default_experiment_id()
    else:
        experiment_id = check_name(experiment_id, "experiment_id")
    checked_params = check_texts(params, "params")
    checked_tags = check_texts(tags, "tags")
    size = sum(len(key.encode()) + len(text.encode()) for key, text in (*checked_params.items(), *checked_tags.items()))
    if size > MAX_MODEL_BYTES:
        raise too_large("params and tags", size)
    return catalogue.create(
        random_name() if name is None else check_model_name(name),
        experiment_id,
        model_type=None if model_type is None else check_name(model_type, "model_type"),
        source_run_id=source_run_id,
        params=checked_params,
        tags=checked_tags,
    )


def get_logged_model(model_id: str) -> LoggedModel:
    """The present state of a version that this process knows.

    Raises:
        LookupError: This process does not know it: it was made elsewhere, deleted, or never.
    """
    model = catalogue.get(check_name(model_id, "model_id"))
    if model is None:
        raise LookupError(
            f"this process does not know {model_id!r}: it knows what was created in it; "
            "ask the backend for versions that were made elsewhere"
        )
    return model


def log_model_params(params: Mapping[str, str], model_id: str | None = None) -> None:
    """Add params to a version, by default the active one. A param keeps its first value.

    Raises:
        TypeError: A key or value is not a string.
        ValueError: A param has another value already, no version is active, or the texts are too large.
    """
    checked = check_texts(params, "params")
    if model_id is None:
        model_id = get_active_model_id()
        if model_id is None:
            raise ValueError("no version is active: call set_active_model first, or pass model_id=...")
    catalogue.update(check_name(model_id, "model_id"), params=checked)


def set_logged_model_tags(model_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version; other tags stay.

    Raises:
        TypeError: A key or value is not a string.
        ValueError: A text cannot be carried, or all together are too large.
    """
    catalogue.update(check_name(model_id, "model_id"), tags=check_texts(tags, "tags"))


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Take a tag away from a version.

    Raises:
        LookupError: This process knows the version, and it has no such tag.
    """
    check_texts({key: ""}, "tags")
    model = catalogue.get(check_name(model_id, "model_id"))
    if model is not None and model.name is not None and key not in model.tags:
        present = ", ".join(sorted(model.tags)) or "none"
        raise LookupError(f"{model_id} has no tag {key!r}; it has: {present}")
    catalogue.update(model_id, tags_deleted=(key,))


def finalize_logged_model(model_id: str, status: LoggedModelStatus | str) -> LoggedModel:
    """Set the status of a version, and return it as it is then.

    Raises:
        ValueError: The status is none of PENDING, READY, FAILED and FAILED_REGISTRATION.
    """
    return catalogue.update(check_name(model_id, "model_id"), status=check_status(status))


def delete_logged_model(model_id: str) -> None:
    """Record that a version was deleted, and forget it here. Spans that carry its id keep it."""
    catalogue.delete(check_name(model_id, "model_id"))


# Runs and experiments


def set_experiment(
    name_or_id: str | None = None, *, experiment_name: str | None = None, experiment_id: str | None = None
) -> runs.Experiment:
    """Set the experiment of versions that this process creates from now on.

    Args:
        name_or_id: Its name or id, which are the same thing here.
        experiment_name: The same by keyword.
        experiment_id: The same by keyword.

    Raises:
        TypeError: None, or more than one, is given.
        ValueError: The text cannot be a name.
    """
    given = [value for value in (name_or_id, experiment_name, experiment_id) if value is not None]
    if len(given) != 1:
        raise TypeError('pass one name or id, as in set_experiment("support-agent")')
    experiment = check_name(given[0], "experiment")
    runs.use_experiment(experiment)
    return runs.Experiment(experiment_id=experiment, name=experiment)


def start_run(
    run_name: str | None = None,
    *,
    run_id: str | None = None,
    experiment_id: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> runs.Run:
    """Begin a run: versions that are created while it is active have it as their source run.

    It is active from the call on, until `end_run`; as a context manager, `with start_run() as run`, for the block.

    Args:
        run_name: Readable name; a random one by default.
        run_id: The id of a run that was begun before, here or elsewhere.
        experiment_id: The experiment it belongs to; by default that of `set_experiment`.
        nested: Taken for MLflow's sake: a run may always be begun inside another.
        parent_run_id: The same.
        tags: The run's tags, kept in this process.
        description: The same.
        log_system_metrics: Not here.

    Raises:
        TypeError: An argument has the wrong type.
    """
    known = None if run_id is None else runs.known_run(check_name(run_id, "run_id"))
    run = known or runs.new_run(
        None if run_name is None else check_name(run_name, "run_name"),
        run_id,
        None if experiment_id is None else check_name(experiment_id, "experiment_id"),
    )
    run.data.tags.update(check_texts(tags, "tags"))
    if description is not None:
        run.data.tags["mlflow.note.content"] = description
    return run.begin()
