# SPDX-License-Identifier: Apache-2.0
"""Runs, experiments, and the metrics and params that are logged to either a version or a run.

A metric of a version is its tag `metric.<key>`, and its newest value counts. What is logged to a run that `start_run`
began is kept in this process alone, in `run.data`: what is to be found later belongs to a version.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel import fluent
from otel_loggedmodel._checking import check_name, check_texts
from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import METRIC_TAG, LoggedModel

_KEPT_HERE: Final = (
    "metrics and params of a run are kept in this process alone: pass model_id=... to have them with the version"
)

ActiveRun = runs.Run


class RunOperations:
    """What logging with `synchronous=False` returns. Nothing is done later here."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait for nothing."""


def active_run() -> runs.Run | None:
    """The run that is active here, or None."""
    return runs.current_run()


def last_active_run() -> runs.Run | None:
    """The run that is active here, else the one of this process that was active last, or None."""
    return runs.current_run() or runs.last_run()


def end_run(status: str = "FINISHED") -> None:
    """End the run that is active here. Without one, nothing happens."""
    run = runs.current_run()
    if run is not None:
        run.end(status)


def get_run(run_id: str) -> runs.Run:
    """A run that was begun in this process.

    Raises:
        LookupError: No run of this process has the id. `otel-loggedmodel runs` lists a store's evaluation runs.
    """
    run = runs.known_run(check_name(run_id, "run_id"))
    if run is None:
        raise LookupError(
            f"this process has begun no run {run_id!r}: `otel-loggedmodel show RUN` shows runs of a store"
        )
    return run


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """The id of an experiment, which is its name: it need not be made. Use it by `set_experiment`."""
    return check_name(name, "experiment")


def get_experiment(experiment_id: str) -> runs.Experiment:
    """The experiment of an id."""
    name = check_name(experiment_id, "experiment")
    return runs.Experiment(experiment_id=name, name=name)


def get_experiment_by_name(name: str) -> runs.Experiment:
    """The experiment of a name, which is its id."""
    return get_experiment(name)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log a metric of a version, by default the active one; else of the active run.

    Args:
        key: Its name.
        value: A number.
        step: Kept for a run.
        synchronous: If False, something with `wait()` is returned. What is logged is there at once, whatever it says.
        timestamp: Taken for MLflow's sake.
        run_id: A run that was begun in this process.
        model_id: The version.
        dataset: Taken for MLflow's sake.

    Raises:
        TypeError: The value is no number.
        ValueError: It is not finite.
    """
    return log_metrics({key: value}, step=step, synchronous=synchronous, run_id=run_id, model_id=model_id)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log several metrics. Arguments and errors are those of `log_metric`."""
    found = {check_name(key, "metric"): _number(key, value) for key, value in metrics.items()}
    active = fluent.get_active_model_id()
    run = runs.current_run() if run_id is None else get_run(run_id)
    if model_id is None and run_id is None and active is not None:
        model_id = active
    if model_id is not None:
        texts = {METRIC_TAG + key: repr(value) for key, value in found.items()}
        catalogue.update(check_name(model_id, "model_id"), tags=check_texts(texts, "metrics"))
    if run is not None:
        run.data.metrics.update(found)
    if model_id is None:
        if run is None:
            raise ValueError("no version and no run is active: pass model_id=..., or call set_active_model first")
        warn_once("metrics of runs", _KEPT_HERE)
    return _done(synchronous)


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log a param of the active run, and return its value. Those of a version are logged by `log_model_params`."""
    return log_params({key: value}, synchronous) or value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log params of a run, by default the active one, as texts.

    Raises:
        ValueError: No run is active, or a param has another value already.
    """
    run = _run(run_id)
    texts = {check_name(key, "param"): str(value) for key, value in params.items()}
    for key, text in texts.items():
        if run.data.params.get(key, text) != text:
            raise ValueError(f'param "{key}" of the run is {run.data.params[key]!r} and cannot become {text!r}')
    run.data.params.update(texts)
    warn_once("metrics of runs", _KEPT_HERE)
    return _done(synchronous)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run."""
    return set_tags({key: value}, synchronous)


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Set tags of a run, by default the active one, as texts.

    Raises:
        ValueError: No run is active.
    """
    _run(run_id).data.tags.update({check_name(key, "tag"): str(value) for key, value in tags.items()})
    return _done(synchronous)


def _done(synchronous: bool | None) -> RunOperations | None:
    return RunOperations() if synchronous is False else None


def _run(run_id: str | None) -> runs.Run:
    run = runs.current_run() if run_id is None else get_run(run_id)
    if run is None:
        raise ValueError("no run is active: write `with start_run():` around it, or log_model_params for a version")
    return run


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f'metric "{key}" is {type(value).__name__} {value!r}: pass a number')
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f'metric "{key}" is {value!r}, which is no number to compare')
    return number


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Create a version that is not ready yet, as `create_external_model` does: its status is `PENDING`.

    Say by `finalize_logged_model` that it is.
    """
    model = fluent.create_external_model(name, source_run_id, tags, params, model_type, experiment_id)
    return fluent.finalize_logged_model(model.model_id, "PENDING")
