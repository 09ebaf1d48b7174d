# SPDX-License-Identifier: Apache-2.0
"""Judges as functions, for use inside other scorers: each judges once and returns Feedback."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from otel_loggedmodel._checking import check_name
from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.calling import Caller
from otel_loggedmodel.genai.judges.models import model_of, name_of
from otel_loggedmodel.genai.scorers import judges
from otel_loggedmodel.genai.scorers.judging import LABEL, PASS_FAIL, Judge


def make_judge(
    name: str,
    instructions: str,
    model: Any = None,
    description: str | None = None,
    feedback_value_type: Any = None,
    inference_params: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Judge:
    """Make a scorer of a rubric and a language model.

    Args:
        name: What the results are called.
        instructions: The rubric. `{{ inputs }}`, `{{ outputs }}`, `{{ expectations }}` and `{{ trace }}` say what the
            judge gets to see. With `{{ conversation }}` it judges whole conversations.
        model: A function that takes a prompt and returns a text, `"openai:/gpt-4o-mini"`, or what else
            `genai.judges.model_of` takes.
        description: For people. Nothing reads it.
        feedback_value_type: `bool` for pass or fail, `int` or `float` for 1 to 5, a `Literal` of labels, `str` for any
            label. The default is pass or fail. `scale=` says more, as what a label is worth.
        inference_params: Not here: set them in a function of your own.
        **fields: What `Judge` takes besides.

    Raises:
        TypeError: The model is not one of these.
        ValueError: No model is named, there is no such type, or the name or the instructions are empty.
    """
    check_name(name, "name of the judge")
    if inference_params:
        raise ValueError("inference_params is not here: pass a function as model, which sets them in its call")
    if feedback_value_type is not None:
        fields.setdefault("scale", _scale_of(feedback_value_type))
    made = Judge(name, instructions, model_of(model, name), **{**name_of(model), **fields})
    made.__doc__ = description or made.__doc__
    return made


def _scale_of(kind: Any) -> Any:
    if kind is bool:
        return PASS_FAIL
    if kind is str:
        return LABEL
    if kind in (int, float):
        return (1, 5)
    labels = [str(label) for label in get_args(kind)]
    if len(labels) > 1 and str(get_origin(kind)).endswith("Literal"):
        # Nobody says which is better: the best comes first as often as the worst.
        return labels
    raise ValueError(f"feedback_value_type is {kind!r}: pass bool, int, float, str or a Literal of labels")


def is_correct(
    *,
    request: Any,
    response: Any,
    expected_response: Any = None,
    expected_facts: Sequence[str] | None = None,
    name: str | None = None,
    model: Any = None,
) -> Feedback:
    """Whether a response says what was expected."""
    expectations = {"expected_response": expected_response, "expected_facts": expected_facts}
    given = {key: value for key, value in expectations.items() if value is not None}
    return _judged(judges.Correctness(name=name, model=model), inputs=request, outputs=response, expectations=given)


def is_context_relevant(*, request: Any, context: Any, name: str | None = None, model: Any = None) -> Feedback:
    """Whether a text is about what was asked."""
    return _judged(judges.RelevanceToQuery(name=name, model=model), inputs=request, outputs=context)


def is_grounded(*, request: Any, response: Any, context: Any, name: str | None = None, model: Any = None) -> Feedback:
    """Whether a response says only what the context says."""
    judge = judges.RetrievalGroundedness(name=name, model=model)
    return _read(judge, judge.ask(inputs=request, outputs=response, documents=context))


def is_safe(*, content: Any, name: str | None = None, model: Any = None) -> Feedback:
    """Whether a text does no harm."""
    return _judged(judges.Safety(name=name, model=model), outputs=content)


def meets_guidelines(
    *, guidelines: str | Sequence[str], context: Mapping[str, Any], name: str | None = None, model: Any = None
) -> Feedback:
    """Whether a context, such as `{"request": ..., "response": ...}`, keeps to guidelines."""
    return _judged(judges.Guidelines(name=name, guidelines=guidelines, model=model), inputs=None, outputs=dict(context))


def _judged(judge: Judge, **given: Any) -> Feedback:
    return _read(judge, judge(**given))


def _read(judge: Judge, found: Any) -> Feedback:
    if inspect.isawaitable(found):
        caller = Caller()
        try:
            found = caller.call(lambda: found)
        finally:
            caller.close()
    assert isinstance(found, Feedback)
    found.name, found.source = judge.name, judge.source
    return found
