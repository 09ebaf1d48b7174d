# SPDX-License-Identifier: Apache-2.0
"""Takes scorers of other libraries as they are: autoevals', ragas' and MLflow's.

They are known by where their class comes from, so none of these libraries is imported here. A library's parameters are
filled from the row: the answer from `outputs`, the reference from `expectations`, the question from `inputs`. Any other
parameter gets what has its name in `inputs` and `expectations`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_loggedmodel.genai.assessments import AssessmentSource, AssessmentSourceType, Feedback
from otel_loggedmodel.genai.digests import parameters_of
from otel_loggedmodel.genai.scorers._values import EXPECTED, expected, text_of
from otel_loggedmodel.genai.scoring import PARAMETERS, FunctionScorer, Scorer

_QUESTIONS: Final = ("input", "question", "query", "user_input", "prompt")


def as_scorer(judge: Any) -> Scorer:
    """A scorer of any library. A plain function becomes a scorer of its name.

    Raises:
        TypeError: It is no scorer.
    """
    if isinstance(judge, Scorer):
        _check_takes(judge)
        return judge
    if inspect.isclass(judge) and issubclass(judge, Scorer):
        raise TypeError(f"{judge.__name__} is a class: pass an object of it, {judge.__name__}()")
    libraries = {kind.__module__.split(".")[0] for kind in (judge if inspect.isclass(judge) else type(judge)).__mro__}
    for library, adapter in _ADAPTERS.items():
        if library in libraries:
            return adapter(judge() if inspect.isclass(judge) else judge)
    if getattr(judge, "is_session_level_scorer", False) is True and callable(getattr(judge, "run", None)):
        return _MlflowScorer(judge)
    if callable(judge):
        return FunctionScorer(judge)
    raise TypeError(
        f"{judge!r} is no scorer: write a function of inputs, outputs, expectations or trace with @scorer, or of "
        "session or conversation for whole conversations"
    )


def _check_takes(judge: Scorer) -> None:
    """Check that a scorer that is marked as one for conversations can be called for one.

    Raises:
        TypeError: It cannot.
    """
    if judge.is_session_level_scorer and not {"session", "conversation"} & set(judge.takes):
        raise TypeError(
            f"the scorer {judge.name!r} is one for whole conversations and takes neither `session` nor `conversation`"
        )


class _Adapted(Scorer):
    """A scorer of another library.

    Args:
        judge: That scorer.
        name: What its results are called.
    """

    def __init__(self, judge: Any, name: str) -> None:
        self._adapted = judge
        super().__init__(name)
        if _has_model(judge):
            self.source = AssessmentSource(AssessmentSourceType.LLM_JUDGE, type(judge).__name__)

    def _identity(self) -> list[object]:
        # Their code is not the user's. It changes with every release, but what it says seldom does.
        values = vars(self._adapted) if hasattr(self._adapted, "__dict__") else {}
        kind = type(self._adapted)
        return [kind.__module__.split(".")[0], kind.__qualname__, parameters_of(values)]


class _AutoevalsScorer(_Adapted):
    """A scorer of autoevals: an object with `eval(output, expected, **more)` that returns a `Score`."""

    def __init__(self, judge: Any) -> None:
        super().__init__(judge, judge._name() if callable(getattr(judge, "_name", None)) else type(judge).__name__)

    def __call__(self, *, inputs: Any, outputs: Any, expectations: Any) -> Feedback:
        more = _named(inputs, expectations)
        more.pop("output", None)
        more["input"] = _question(inputs)
        wanted = more.pop("expected") if "expected" in more else _reference(expectations)
        score = self._adapted.eval(outputs, wanted, **more)
        if score.error is not None:
            return Feedback(error=score.error)
        rationale = (score.metadata or {}).get("rationale")
        return Feedback(value=score.score, rationale=None if rationale is None else str(rationale))


class _RagasScorer(_Adapted):
    """A metric of ragas, either with `single_turn_score(sample)` or with `score(**columns)`."""

    def __init__(self, judge: Any) -> None:
        super().__init__(judge, judge.name)

    def __call__(self, *, inputs: Any, outputs: Any, expectations: Any) -> Any:
        columns: dict[str, Any] = {**_named(inputs, expectations), "response": text_of(outputs)}
        question, reference = _question(inputs), _reference(expectations)
        if question is not None:
            columns.setdefault("user_input", text_of(question))
        if reference is not None:
            columns.setdefault("reference", text_of(reference))
        if isinstance(outputs, Mapping):
            columns = {**columns, **outputs, "response": text_of(outputs.get("response", outputs))}
        return self._of_sample(columns) if hasattr(self._adapted, "single_turn_ascore") else self._of_columns(columns)

    async def _of_sample(self, columns: dict[str, Any]) -> Any:
        from ragas.dataset_schema import SingleTurnSample

        known = {key: value for key, value in columns.items() if key in SingleTurnSample.model_fields}
        return await self._adapted.single_turn_ascore(SingleTurnSample(**known))

    async def _of_columns(self, columns: dict[str, Any]) -> Feedback:
        found = await self._adapted.ascore(**_taken(self._adapted.ascore, columns))
        reason = getattr(found, "reason", None)
        return Feedback(value=getattr(found, "value", found), rationale=None if reason is None else str(reason))


class _MlflowScorer(_Adapted):
    """A scorer of MLflow: an object with `run(inputs, outputs, expectations, trace)`, or with `run(session)`.

    Scorers that look at the trace want MLflow's own. Only some rows have one. A function that judges a conversation
    gets the traces that there are; MLflow's judges of conversations want its own.
    """

    def __init__(self, judge: Any) -> None:
        super().__init__(judge, judge.name)
        self.timeout = getattr(judge, "timeout", None)
        self.aggregations = getattr(judge, "aggregations", None)
        takes = inspect.signature(judge.__call__).parameters
        self._wanted = tuple(key for key in PARAMETERS if key in takes)
        if getattr(judge, "is_session_level_scorer", False) is True:
            self._wanted = ("session",)

    @property
    def takes(self) -> tuple[str, ...]:
        return self._wanted

    def __call__(self, **given: Any) -> Any:
        if "session" in given:
            if not _is_function(self._adapted) and not all(map(_is_mlflow_trace, given["session"])):
                raise TypeError(
                    f"{type(self._adapted).__name__} of MLflow judges MLflow's own traces: pass those as data, or use "
                    "the judge of this name in otel_loggedmodel.genai.scorers"
                )
            return self._adapted.run(session=given["session"])
        trace = given.get("trace")
        if trace is not None and not _is_mlflow_trace(trace):
            given["trace"] = None
        return self._adapted.run(**given)

    def _identity(self) -> list[object]:
        function = getattr(self._adapted, "_original_func", None)
        if function is not None:
            return FunctionScorer(function)._identity()
        fields = getattr(type(self._adapted), "model_fields", {})
        values = {key: getattr(self._adapted, key, None) for key in fields}
        return [type(self._adapted).__qualname__, parameters_of(values)]


_ADAPTERS: Final[Mapping[str, Callable[[Any], Scorer]]] = {
    "autoevals": _AutoevalsScorer,
    "ragas": _RagasScorer,
    "mlflow": _MlflowScorer,
}


def _is_function(judge: Any) -> bool:
    # Anything of MLflow's own looks at more of a trace than ours have.
    return getattr(judge, "_original_func", None) is not None or not type(judge).__module__.startswith("mlflow")


def _is_mlflow_trace(trace: Any) -> bool:
    return type(trace).__module__.startswith("mlflow")


def _has_model(judge: Any) -> bool:
    return any(getattr(judge, name, None) is not None for name in ("llm", "model", "client", "_client"))


def _question(inputs: Any) -> Any:
    """The question among inputs: the one with a usual name, else the only one, else all of them."""
    if not isinstance(inputs, Mapping):
        return inputs
    for name in _QUESTIONS:
        if name in inputs:
            return inputs[name]
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _reference(expectations: Any) -> Any:
    if isinstance(expectations, Mapping):
        for name in ("expected", "reference"):
            if name in expectations:
                return expectations[name]
    try:
        return expected(expectations, EXPECTED)
    except KeyError:
        return None


def _named(inputs: Any, expectations: Any) -> dict[str, Any]:
    return functools.reduce(
        lambda found, given: {**found, **(given if isinstance(given, Mapping) else {})}, (inputs, expectations), {}
    )


def _taken(function: Callable[..., Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(columns)
    return {key: columns[key] for key in parameters if key in columns}
