# SPDX-License-Identifier: Apache-2.0
"""Scorers: what judges an output, and `@scorer`, which makes one of a function."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar, overload

from otel_loggedmodel._checking import check_name
from otel_loggedmodel.genai.assessments import (
    CODE,
    DEFAULT_NAME,
    AssessmentError,
    AssessmentSource,
    Feedback,
    plain,
    score_and_label,
)
from otel_loggedmodel.genai.digests import closure_of, digest, parameters_of, source_of
from otel_loggedmodel.genai.texts import text_of_any

F = TypeVar("F", bound=Callable[..., Any])

PARAMETERS: Final = ("inputs", "outputs", "expectations", "trace")
# Of a scorer that judges whole conversations.
OF_CONVERSATIONS: Final = ("session", "conversation", "expectations")
# What most scorers return.
_PLAIN: Final = frozenset({bool, int, float, str})
AGGREGATIONS: Final = ("min", "max", "mean", "median", "variance", "p90")
Aggregation = str | Callable[[list[float]], float]


class Scorer:
    """What judges an output. A subclass has a name and a `__call__` that takes any of the four parameters.

    One that takes `session` or `conversation` judges whole conversations. It is called once for each, with the traces
    of its turns (`session`) or its messages (`conversation`), and with `expectations` if it takes them.

        class NotEmpty(Scorer):
            name = "not_empty"

            def __call__(self, *, outputs):
                return bool(outputs)

    `__call__` may be async. It returns a bool, a number, a text, a `Feedback`, a list of `Feedback`, or None for "does
    not apply". Keyword arguments of the constructor become attributes of the same name. Together with the code they
    identify the scorer, so that scores of different scorers are not mixed up.

    Args:
        name: What its results are called.
        aggregations: Which metrics the result has of it: any of min, max, mean, median, variance and p90, or functions
            of a list. The default is the mean.
        timeout: Seconds that one call may take.
        description: For people. Nothing reads it.

    Raises:
        TypeError: The class declares no such attribute.
    """

    name: str = ""
    description: str | None = None
    aggregations: Sequence[Aggregation] | None = None
    timeout: float | None = None
    source: AssessmentSource = CODE
    # Goes up when a scorer of this library begins to judge otherwise. None for users' scorers, which go by their source
    # code.
    revision: ClassVar[int | None] = None

    def __init__(self, name: str | None = None, **fields: Any) -> None:
        if name is not None:
            self.name = name
        for key, value in fields.items():
            if not _declares(type(self), key):
                raise TypeError(f"{type(self).__name__} has no parameter {key!r}: declare it in the class")
            setattr(self, key, value)
        self.name = check_name(self.name or type(self).__name__, "name of the scorer")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Judge one output. The keyword arguments are any of `inputs`, `outputs`, `expectations` and `trace`."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def run(
        self,
        *,
        inputs: Any = None,
        outputs: Any = None,
        expectations: Any = None,
        trace: Any = None,
        session: Any = None,
        conversation: Any = None,
    ) -> Any:
        """Call the scorer with the parameters that it takes. An async one returns what is to be awaited."""
        given = {"inputs": inputs, "outputs": outputs, "expectations": expectations, "trace": trace}
        given |= {"session": session, "conversation": conversation}
        said = self._judge(**{key: given[key] for key in self.takes})
        # Feedback that says no name has that of its scorer.
        return replace(said, name=self.name) if type(said) is Feedback and said.name == DEFAULT_NAME else said

    @property
    def is_session_level_scorer(self) -> bool:
        """Whether it judges whole conversations, and not rows."""
        return "session" in self.takes or "conversation" in self.takes

    @property
    def _judge(self) -> Callable[..., Any]:
        return self.__call__

    @property
    def takes(self) -> tuple[str, ...]:
        """Which of the parameters it takes."""
        known = self.__dict__.get("_takes")
        if known is None:
            known = self.__dict__["_takes"] = _taken_by(self._judge, self.name)
        return known

    @property
    def digest(self) -> str:
        """Identifies the scorer. It is the same on every machine, and changes with the scorer's code or parameters."""
        known = self.__dict__.get("_digest")
        if known is None:
            known = self.__dict__["_digest"] = digest([self.name, *self._identity()])
        return known

    def _identity(self) -> list[object]:
        kinds = [kind for kind in type(self).__mro__ if kind not in (Scorer, object)]
        declared = {key for kind in kinds for key in vars(kind).get("__annotations__", {})}
        own = {key: getattr(self, key) for key in {*declared, *vars(self)} if hasattr(self, key)}
        for key in ("name", "aggregations", "description", "timeout", "revision"):
            own.pop(key, None)
        code = source_of(type(self)) if self.revision is None else [type(self).__qualname__, self.revision]
        return [code, parameters_of(own)]

    def __getattr__(self, name: str) -> Any:
        # Methods of MLflow's that are not here. The room that knows them is above this one.
        return importlib.import_module("otel_loggedmodel.interface.elsewhere").found_in_scorer(type(self), name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class FunctionScorer(Scorer):
    """A scorer that is a function. Calling it calls the function."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        aggregations: Sequence[Aggregation] | None = None,
        timeout: float | None = None,
        source: AssessmentSource = CODE,
    ) -> None:
        self._function = function
        super().__init__(name or getattr(function, "__name__", type(function).__name__))
        self.aggregations = aggregations
        self.timeout = timeout
        self.source = source
        self.__doc__ = getattr(function, "__doc__", None)
        _ = self.takes  # a function that cannot be called says so here

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        return self._function(*args, **kwargs)

    @property
    def _judge(self) -> Callable[..., Any]:
        return self._function

    def _identity(self) -> list[object]:
        return [source_of(self._function), closure_of(self._function)]


@overload
def scorer(
    func: F,
    *,
    name: str | None = None,
    description: str | None = None,
    aggregations: Sequence[Aggregation] | None = None,
    timeout: float | None = None,
    source: AssessmentSource = CODE,
) -> FunctionScorer: ...
@overload
def scorer(
    func: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    aggregations: Sequence[Aggregation] | None = None,
    timeout: float | None = None,
    source: AssessmentSource = CODE,
) -> Callable[[F], FunctionScorer]: ...
def scorer(
    func: F | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    aggregations: Sequence[Aggregation] | None = None,
    timeout: float | None = None,
    source: AssessmentSource = CODE,
) -> FunctionScorer | Callable[[F], FunctionScorer]:
    """Make a scorer of a function that takes any of `inputs`, `outputs`, `expectations` and `trace`.

    A function that takes `session` (the traces of a conversation) or `conversation` (its messages) judges whole
    conversations. Beside these it can take `expectations`.

    The function may be async. It returns a bool, a number, a text, a `Feedback`, a list of `Feedback`, or None for
    "does not apply". An exception is recorded as the result's error.

    Args:
        func: The function, when used without parentheses.
        name: What its results are called. The default is the function's name.
        description: For people. Nothing reads it.
        aggregations: Which metrics the result has of it: any of min, max, mean, median, variance and p90, or functions
            of a list. The default is the mean.
        timeout: Seconds that one call may take.
        source: Who judges, if not code.

    Raises:
        TypeError: What is decorated cannot be called with these parameters.
        ValueError: There is no such aggregation.
    """
    for aggregation in aggregations or ():
        if not callable(aggregation) and aggregation not in AGGREGATIONS:
            raise ValueError(f"there is no aggregation {aggregation!r}: use {', '.join(AGGREGATIONS)}, or a function")

    def decorate(function: F) -> FunctionScorer:
        made = FunctionScorer(function, name, aggregations, timeout, source)
        made.__doc__ = description or made.__doc__
        return made

    return decorate if func is None else decorate(func)


def _declares(kind: type, key: str) -> bool:
    return hasattr(kind, key) or any(key in vars(base).get("__annotations__", {}) for base in kind.__mro__)


def _taken_by(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise TypeError(f"the scorer {name!r} has no signature: wrap it in a function with named parameters") from None
    known: tuple[str, ...] = PARAMETERS
    if "session" in parameters or "conversation" in parameters:
        known = OF_CONVERSATIONS
        others = [key for key in PARAMETERS if key in parameters and key not in known]
        if others:
            raise TypeError(
                f"the scorer {name!r} takes {', '.join(others)} beside a conversation: it is called once for a whole "
                "conversation, so it can take session, conversation and expectations; make another scorer for the rows"
            )
    elif any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return PARAMETERS
    needed = [
        key
        for key, parameter in parameters.items()
        if key not in known
        and parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if needed:
        raise TypeError(
            f"the scorer {name!r} takes {', '.join(needed)}: its parameters can be {', '.join(PARAMETERS)}, or of "
            f"whole conversations {', '.join(OF_CONVERSATIONS)}; give others a default"
        )
    return tuple(key for key in known if key in parameters)


def feedback_of(judge: Scorer, value: Any) -> list[Feedback]:
    """What a scorer returned, as a list of Feedback, each with a name and a source.

    An error is a Feedback, too, for instance if a value cannot be a score.
    """
    if type(value) in _PLAIN:
        return [_one(judge, value)]
    items = value if isinstance(value, list | tuple) else [value]
    if not any(is_feedback(item) for item in items):
        items = [] if value is None else [value]
    return [_one(judge, item) for item in items]


def failed(judge: Scorer, error: BaseException) -> list[Feedback]:
    """The result of a scorer that raised."""
    return [Feedback(name=judge.name, error=error, source=judge.source)]


def is_feedback(value: object) -> bool:
    """Whether a value is a Feedback, ours or MLflow's."""
    return isinstance(value, Feedback) or (
        type(value).__name__ == "Feedback" and hasattr(value, "rationale") and hasattr(value, "name")
    )


def _one(judge: Scorer, item: Any) -> Feedback:
    if not is_feedback(item):
        error, value = _checked(None, item)
        return Feedback(name=judge.name, value=value, error=error, source=judge.source)
    error, value = _checked(item.error, item.value)
    return Feedback(
        name=judge.name if item.name in (None, "", DEFAULT_NAME) else item.name,
        value=value,
        error=error,
        source=judge.source if item.source is None else _our_source(item.source, judge),
        rationale=item.rationale,
        metadata=item.metadata,
        trace_id=item.trace_id,
        span_id=item.span_id,
    )


def _checked(error: Any, value: Any) -> tuple[Any, Any]:
    """An error, and a value as Python's own. If the value is no score, or no text, that is the error."""
    try:
        value = plain(value)
        if error is None:
            score_and_label(value)
    except Exception as problem:
        return AssessmentError(type(problem).__name__, text_of_any(problem)), None
    return error, value


def _our_source(source: Any, judge: Scorer) -> AssessmentSource:
    if isinstance(source, AssessmentSource):
        return source
    try:
        return AssessmentSource(str(source.source_type), source.source_id)
    except (AttributeError, ValueError):
        return judge.source
