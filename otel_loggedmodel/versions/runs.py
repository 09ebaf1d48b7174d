# SPDX-License-Identifier: Apache-2.0
"""Runs and experiments: what a new version records about where it came from, and the defaults for both."""

import contextlib
import dataclasses
import os
import sys
import time
import uuid
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, NamedTuple

from otel_loggedmodel import environment
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.versions._random_names import random_name

DEFAULT_EXPERIMENT_ID: Final = "0"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What versions are grouped by. Here an experiment's name is its id, as no server hands out numbers."""

    experiment_id: str
    name: str

    @property
    def lifecycle_stage(self) -> str:
        """`active`: no experiment is ever deleted here."""
        return "active"

    @property
    def tags(self) -> dict[str, str]:
        """None: versions have tags."""
        return {}


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What identifies a run.

    Attributes:
        run_id: 32 hex digits, as in MLflow.
        run_name: Readable. It is random if none was given.
        experiment_id: The experiment it belongs to.
        start_time: Milliseconds since the epoch.
    """

    run_id: str
    run_name: str
    experiment_id: str
    start_time: int

    @property
    def status(self) -> str:
        """`RUNNING`, or how the run ended, if it is of this process."""
        run = known_run(self.run_id)
        return "RUNNING" if run is None else run.status

    @property
    def end_time(self) -> int | None:
        """When it ended, in milliseconds since the epoch, if it is of this process; else None."""
        run = known_run(self.run_id)
        return None if run is None else run.end_time

    @property
    def lifecycle_stage(self) -> str:
        """`active`: no run is ever deleted here."""
        return "active"


@dataclasses.dataclass(frozen=True)
class RunData:
    """What was logged to a run, in this process.

    Attributes:
        metrics: The newest values.
        params: Texts.
        tags: Texts.
    """

    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    params: dict[str, str] = dataclasses.field(default_factory=dict)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


class Run:
    """A run. Versions that are created while it is active have it as their source run.

    Attributes:
        info: What identifies it.
        data: What was logged to it.
        status: `RUNNING`, or how it ended.
        end_time: When it ended, in milliseconds since the epoch.
    """

    def __init__(self, info: RunInfo) -> None:
        self.info: Final = info
        self.data: Final = RunData()
        self.status = "RUNNING"
        self.end_time: int | None = None
        self._tokens: list[Token[Run | None]] = []

    def begin(self) -> "Run":
        """Make it the active run of this context, until it is ended."""
        global _last_run  # noqa: PLW0603 - one value per process, as in the interface that is followed
        self.status, self.end_time = "RUNNING", None
        self._tokens.append(_current_run.set(self))
        _last_run = self
        return self

    def end(self, status: str = "FINISHED") -> None:
        """End it: what was active before is active again."""
        self.status, self.end_time = status, time.time_ns() // 1_000_000
        with contextlib.suppress(ValueError, IndexError):  # ended in another task, which has no run to give back
            _current_run.reset(self._tokens.pop())

    def __enter__(self) -> "Run":
        return self if _current_run.get() is self else self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end("FINISHED" if kind is None else "FAILED")

    def __repr__(self) -> str:
        return f"Run(info={self.info!r})"


_current_run: Final[ContextVar[Run | None]] = ContextVar("otel_loggedmodel_run", default=None)
_last_run: Run | None = None
_experiment_id: str | None = None
# Runs that were begun in this process, for their experiments.
_known: Final[Latest[str, Run]] = Latest(1000)


def use_experiment(experiment_id: str | None) -> None:
    """Set the process's experiment. None leaves it to the environment."""
    global _experiment_id  # noqa: PLW0603 - one value per process, as in the interface that is followed
    _experiment_id = experiment_id


def known_run(run_id: str) -> Run | None:
    """A run that was begun in this process."""
    return _known.get(run_id)


def last_run() -> Run | None:
    """The run of this process that became active last."""
    return _last_run


def new_run(run_name: str | None, run_id: str | None = None, experiment_id: str | None = None) -> Run:
    """A run that begins now.

    Args:
        run_name: What it is called; a random name by default.
        run_id: Its id, if it was begun elsewhere.
        experiment_id: The experiment it belongs to, if not the present one.
    """
    run = Run(
        RunInfo(
            run_id=run_id or uuid.UUID(bytes=os.urandom(16), version=4).hex,
            run_name=run_name or random_name(),
            experiment_id=experiment_id or default_experiment_id(),
            start_time=time.time_ns() // 1_000_000,
        )
    )
    _known[run.info.run_id] = run
    return run


def experiment_id_of(run_id: str | None) -> str | None:
    """The experiment of a run that was begun in this process, or that is active in MLflow here; else None."""
    if run_id is None:
        return None
    known = _known.get(run_id)
    if known is not None:
        return known.info.experiment_id
    active = _mlflow_run()
    return active.experiment_id if active is not None and active.run_id == run_id else None


def default_experiment_id() -> str:
    """`set_experiment`, then the environment, then `"0"`."""
    return _experiment_id or environment.experiment_id() or DEFAULT_EXPERIMENT_ID


def current_run() -> Run | None:
    """The run of this library that is active here."""
    return _current_run.get()


def default_run_id() -> str | None:
    """The run that is active here, then MLflow's if that is imported and has one, then the environment's."""
    run = _current_run.get()
    if run is not None:
        return run.info.run_id
    active = _mlflow_run()
    return environment.run_id() if active is None else active.run_id


class _MlflowRun(NamedTuple):
    run_id: str
    experiment_id: str | None


def _mlflow_run() -> _MlflowRun | None:
    mlflow = sys.modules.get("mlflow")
    if mlflow is None:
        return None
    try:
        info = mlflow.active_run().info
        run_id, experiment_id = info.run_id, getattr(info, "experiment_id", None)
    except Exception:
        return None  # no run is active, or this is not the MLflow we know
    if not isinstance(run_id, str):
        return None
    return _MlflowRun(run_id, experiment_id if isinstance(experiment_id, str) else None)
