# SPDX-License-Identifier: Apache-2.0
"""Scorers of what an answer cost: its latency, its tokens, and the tools it called."""

import json
from collections.abc import Mapping
from typing import Any

from otel_loggedmodel.conventions.reading import name_of
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.scoring import Scorer


class LatencyBudget(Scorer):
    """Whether the answer took no longer than it may.

    Args:
        max_ms: Milliseconds.
        name: What the results are called.
    """

    name = "latency_budget"
    revision = 1
    max_ms: float

    def __init__(self, max_ms: float, **fields: Any) -> None:
        super().__init__(max_ms=max_ms, **fields)

    def __call__(self, *, trace: Any) -> Feedback:
        """Judge."""
        took = trace.info.execution_duration
        return Feedback(value=took <= self.max_ms, rationale=f"{took:.1f} ms")


class TokenBudget(Scorer):
    """Whether the answer took no more tokens, in and out, than it may. None if no span says how many.

    Args:
        max_tokens: The most tokens of both together.
        name: What the results are called.
    """

    name = "token_budget"
    revision = 1
    max_tokens: int

    def __init__(self, max_tokens: int, **fields: Any) -> None:
        super().__init__(max_tokens=max_tokens, **fields)

    def __call__(self, *, trace: Any) -> Feedback | None:
        """Judge."""
        tokens_in, tokens_out = trace.tokens
        if not tokens_in + tokens_out:
            return None
        return Feedback(value=tokens_in + tokens_out <= self.max_tokens, rationale=f"{tokens_in} in, {tokens_out} out")


class ToolCallCorrectness(Scorer):
    """How well the tools that were called match those that were expected: the F-measure of the calls, 0 to 1.

    The row's `expected_tool_calls` are a list of dicts with `name` and `arguments`. The calls that were made are read
    from `tool_calls` of the outputs, else from the trace's tool spans (`execute_tool`, or of kind TOOL).

    Args:
        arguments: `exact`, `subset` (the expected ones are among those given) or `ignore`.
        in_order: Whether the order counts.
        key: Where in `expectations` the calls are.
        name: What the results are called.

    Raises:
        ValueError: There is no such way to look at arguments.
    """

    name = "tool_call_correctness"
    revision = 1
    arguments: str = "exact"
    in_order: bool = False
    key: str = "expected_tool_calls"

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if self.arguments not in ("exact", "subset", "ignore"):
            raise ValueError(f"arguments is {self.arguments!r}: pass 'exact', 'subset' or 'ignore'")

    def __call__(self, *, outputs: Any, expectations: Any, trace: Any) -> Feedback | None:
        """Judge."""
        wanted = expectations.get(self.key) if isinstance(expectations, Mapping) else None
        if wanted is None:
            return None
        expected = [_call(one) for one in wanted]
        called = _called(outputs, trace)
        total = len(expected) + len(called)
        matched = self._in_order(expected, called) if self.in_order else self._in_any_order(expected, called)
        names = ", ".join(name for name, _ in called) or "none"
        return Feedback(value=2 * matched / total if total else 1.0, rationale=f"called: {names}")

    def _is(self, expected: tuple[str, Any], called: tuple[str, Any]) -> bool:
        if expected[0] != called[0]:
            return False
        if self.arguments == "ignore" or expected[1] is None:
            return True
        if self.arguments == "exact" or not isinstance(expected[1], Mapping) or not isinstance(called[1], Mapping):
            return bool(expected[1] == called[1])
        return all(key in called[1] and called[1][key] == value for key, value in expected[1].items())

    def _in_any_order(self, expected: list[tuple[str, Any]], called: list[tuple[str, Any]]) -> int:
        left = list(called)
        for one in expected:
            found = next((place for place, other in enumerate(left) if self._is(one, other)), None)
            if found is not None:
                del left[found]
        return len(called) - len(left)

    def _in_order(self, expected: list[tuple[str, Any]], called: list[tuple[str, Any]]) -> int:
        # The longest common subsequence, row by row.
        lengths = [0] * (len(called) + 1)
        for one in expected:
            above = list(lengths)
            for place, other in enumerate(called, 1):
                lengths[place] = above[place - 1] + 1 if self._is(one, other) else max(above[place], lengths[place - 1])
        return lengths[-1]


def _called(outputs: Any, trace: Any) -> list[tuple[str, Any]]:
    said = outputs.get("tool_calls") if isinstance(outputs, Mapping) else None
    if said is not None:
        return [_call(one) for one in said]
    if trace is None:
        return []
    calls = []
    for span in trace.search_spans(span_type="TOOL"):
        arguments = span.attributes.get("gen_ai.tool.call.arguments", span.inputs)
        name = name_of(span.attributes, Thing.TOOL) or span.name
        calls.append((str(name), _parsed(arguments)))
    return calls


def _call(said: Any) -> tuple[str, Any]:
    """Name and arguments of a call, from a dict with these keys or one in the form of OpenAI's API."""
    function = said.get("function", said)
    return str(function["name"]), _parsed(function.get("arguments"))


def _parsed(arguments: Any) -> Any:
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except ValueError:
            return arguments
    return arguments
