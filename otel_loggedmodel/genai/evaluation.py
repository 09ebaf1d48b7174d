# SPDX-License-Identifier: Apache-2.0
"""`evaluate` runs a version over a data set, has its outputs judged, and sends the results to where the spans go."""

import importlib
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Final

from opentelemetry import trace as trace_api

from otel_loggedmodel import environment
from otel_loggedmodel._checking import check_name, has_id_shape
from otel_loggedmodel.fluent import get_active_model_id
from otel_loggedmodel.genai.outcome import EvaluationResult
from otel_loggedmodel.genai.scoring import Scorer
from otel_loggedmodel.versions.active import Version
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import LoggedModel
from otel_loggedmodel.versions.resolution import activate, model_for, version_for

_logger = logging.getLogger(__name__)

DEFAULT_WORKERS: Final = 8


def evaluate(
    data: Any,
    scorers: Sequence[Any] = (),
    predict_fn: Callable[..., Any] | None = None,
    model_id: str | LoggedModel | None = None,
    *,
    dataset: str | None = None,
    run_name: str | None = None,
    max_workers: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    scorer_timeout: float | None = None,
    scorer_retries: int = 0,
    record_content: bool = True,
    resume: bool = True,
    resume_dir: str | PathLike[str] | None = None,
    progress: bool | None = None,
    tracer_provider: trace_api.TracerProvider | None = None,
    as_events: bool = False,
    logger_provider: Any = None,
) -> EvaluationResult:
    """Run a version over a data set and score it. The scores stand beside its latency, errors, tokens and cost.

    Each row is a trace of the version, with `predict_fn` as its entry span, and each score is a span in that trace. If
    a row or a scorer fails, that is a result, and the others go on. Rows that were done before a kill are not run
    again.

    Args:
        data: Rows with `inputs`, a dict that becomes the keyword arguments of `predict_fn`, and whatever scorers read
            of `outputs`, `expectations` and `trace`: a list of dicts, the path of a .jsonl, .json, .csv or .tsv file, a
            pandas or polars data frame, traces from `search_traces`, or another iterable together with `dataset`.
        scorers: Who judges: `@scorer` functions, the classes of `genai.scorers`, scorers of MLflow, autoevals or ragas,
            or functions of any of `inputs`, `outputs`, `expectations` and `trace`.
        predict_fn: What is evaluated, sync or async. Without it, the outputs or traces in the data are evaluated.
        model_id: The version, by id, name or LoggedModel. The default is the active one, else a reference by the name
            of `predict_fn`. Outputs that the data have without traces are of one named as the data set, or `answers`.
        dataset: What the data set is called. The default for a file is its name. A stream is identified by this name.
        run_name: What this run is called; a random readable name by default. With a name, it is a run of its own, also
            inside `start_run`.
        max_workers: How many rows are worked on at once; by default what MLFLOW_GENAI_EVAL_MAX_WORKERS says, else 8.
        timeout: Seconds that a call of `predict_fn` may take. A sync function that takes longer is left running.
        retries: How often to call it again if it raises. Each try is a trace.
        scorer_timeout: Seconds that a scorer may take for a row, if it does not say so itself.
        scorer_retries: How often to call a scorer again if it raises.
        record_content: Whether inputs and outputs are put onto the spans. Everybody who reads traces can see them
            there.
        resume: Whether to go on from where an evaluation of this version and data set was killed.
        resume_dir: Where to keep what is needed for that. The default is
            `$XDG_STATE_HOME/otel-loggedmodel/evaluations`.
        progress: Whether to show a progress bar; by default on a terminal.
        tracer_provider: Makes and exports the spans. The default is the global one; if there is none, it is set up as
            by `instrument`.
        as_events: Whether to send scores as log records, too, which is how OpenTelemetry has events.
        logger_provider: Exports these; the global one by default.

    Raises:
        TypeError: An argument has the wrong type, or `predict_fn` does not take the inputs of the first row.
        ValueError: The data are of no shape that can be read, or two scorers have one name.
        OSError: The file cannot be read.
    """
    # Loaded when it is used, as importing the library has to cost next to nothing.
    from otel_loggedmodel.genai.conversations import Conversation
    from otel_loggedmodel.genai.conversing import first_call
    from otel_loggedmodel.genai.running import Options, run
    from otel_loggedmodel.genai.sources import dataset_of

    judges = checked_scorers(scorers)
    if predict_fn is not None and not callable(predict_fn):
        raise TypeError(f"predict_fn is {type(predict_fn).__name__}: pass a function")
    if max_workers is None:
        max_workers = environment.evaluation_workers() or DEFAULT_WORKERS
    for count, least in ((max_workers, 1), (retries, 0), (scorer_retries, 0)):
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(f"max_workers or retries are {count!r}: pass {least} or more")
    for limit in (timeout, scorer_timeout):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0):
            raise ValueError(f"a timeout is {limit!r}: pass seconds, or None for no limit")
    rows = dataset_of(data, None if dataset is None else check_name(dataset, "dataset"))
    first = rows.first()
    if predict_fn is not None and first is not None:
        if isinstance(first, Conversation):
            _check_call(predict_fn, first_call(predict_fn, first))
        else:
            _check_level(judges)
            _check_call(predict_fn, first.inputs)
    options = Options(
        max_workers=max_workers,
        timeout=timeout,
        retries=retries,
        scorer_timeout=scorer_timeout,
        scorer_retries=scorer_retries,
        record_content=record_content,
        resume=resume,
        resume_dir=resume_dir,
        progress=progress,
        as_events=as_events,
        logger_provider=logger_provider,
        run_name=None if run_name is None else check_name(run_name, "run_name"),
    )
    version = _version(model_id, predict_fn, (rows.name or "answers") if _is_without_trace(first) else None)
    return run(rows, judges, predict_fn, version, options, tracer_provider)


def checked_scorers(scorers: Any) -> list[Scorer]:
    """The scorers, in whatever form they were given.

    Raises:
        TypeError: One of them is no scorer.
        ValueError: Two have one name.
    """
    from otel_loggedmodel.genai.adapters import as_scorer

    if isinstance(scorers, str) or not hasattr(scorers, "__iter__"):
        raise TypeError(f"scorers is {type(scorers).__name__}: pass a list of scorers")
    found = [as_scorer(judge) for judge in scorers]
    names = [judge.name for judge in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two scorers are called {twice[0]!r}: give one another name, name=...")
    return found


def _check_level(judges: Sequence[Scorer]) -> None:
    """Refuse scorers of whole conversations if the function is called for single rows.

    Raises:
        ValueError: There are such.
    """
    names = [judge.name for judge in judges if judge.is_session_level_scorer]
    if names:
        raise ValueError(
            f"{', '.join(names)} judges whole conversations, and the rows are single calls of predict_fn: make each "
            "conversation a row, {'conversation': [{'role': 'user', 'content': ...}, ...]}, with a predict_fn that "
            "takes `messages`; or leave predict_fn out and pass traces that say their session"
        )


def _check_call(predict_fn: Callable[..., Any], inputs: Any) -> None:
    """Check that a function takes what the rows have. A wrong name is a mistake in the call, not a row that failed.

    Raises:
        TypeError: It does not.
    """
    try:
        signature = inspect.signature(predict_fn)
    except (TypeError, ValueError):
        return
    try:
        if isinstance(inputs, Mapping):
            signature.bind(**inputs)
        else:
            signature.bind(inputs)
    except TypeError as error:
        name = getattr(predict_fn, "__qualname__", "predict_fn")
        given = list(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise TypeError(
            f"{name}{signature} cannot be called with the inputs of the first row, {given}: {error}. "
            "The keys of `inputs` are the names of its parameters"
        ) from None


def _is_without_trace(first: Any) -> bool:
    """Whether the first row, or turn of a conversation, has no trace, which could say its version."""
    turns = getattr(first, "turns", None)
    row = turns[0].row if turns else first
    return row is not None and row.trace is None and row.trace_id is None


def _version(model_id: object, predict_fn: Callable[..., Any] | None, answers: str | None) -> Version | None:
    """The version that is evaluated; None if the traces in the data say it.

    Args:
        model_id: The version, if it was given.
        predict_fn: The function, if it was given.
        answers: What the version of answers without traces is called; None where they have traces.
    """
    if isinstance(model_id, LoggedModel):
        model = model_for(model_id.name if catalogue.get(model_id.model_id) else None, model_id.model_id)
    elif isinstance(model_id, str):
        is_id = has_id_shape(model_id) or catalogue.get(model_id) is not None
        model = model_for(None if is_id else model_id, model_id if is_id else None)
    elif model_id is not None:
        raise TypeError(f"model_id is {type(model_id).__name__}: pass the id or name of a version, or a LoggedModel")
    else:
        active = get_active_model_id()
        if active is not None:
            model = model_for(None, active)
        elif predict_fn is None and answers is None:
            return None
        else:
            own = answers if predict_fn is None else getattr(predict_fn, "__name__", type(predict_fn).__name__)
            name = str(own).strip("<>")
            _logger.warning("no version is active: the results count for one called %r; pass model_id=...", name)
            model = model_for(name, None)
    version = version_for(model)
    if predict_fn is not None:
        activate(version)
    return version


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
