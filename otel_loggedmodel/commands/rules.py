# SPDX-License-Identifier: Apache-2.0
"""The gate's rules: when a candidate fails.

    rule       = condition { "and" condition }
    condition  = metric comparison limit | "worse(" metric ["," margin] ")" | "worse"
    demand     = "not_worse(" metric "," margin ")"
    comparison = ">" | ">=" | "<" | "<="
    limit      = number          the value itself            error_rate > 0.05
               | number "%"      the same, of a rate         error_rate > 5%
               | sign number     change from the baseline    error_rate > +0.01
               | sign number "pp" the same, of a rate        error_rate > +1pp
               | sign number "%" the same, in parts of it    latency_ms.p95 > +10%
               | number "x"      the same, as a multiple     cost_usd_per_trace > 1.2x
               | "(" [sign] number ")"  a value below zero   scores.sentiment < (-0.5)
    margin     = number | number "%" (of the baseline's value) | number "pp"
    metric     = a name from `metrics`, or "scores." and the name of a score, in quotes if it is no plain word

`worse(metric)` holds if the comparison calls the metric worse. It does so for differences that chance does not explain.
`worse` after a condition means that condition's metric. Alone it means every metric.

A demand is no rule: a candidate has to meet it. `not_worse` is met where the metric is shown to be worse by no more
than the margin.
"""

import enum
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel.presenting.metrics import BY_KEY, SCORE_PREFIX, metric_named
from otel_loggedmodel.presenting.texts import clean, did_you_mean
from otel_loggedmodel.store.statistics import Margin

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<name>[^\W\d][\w-]*(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))*)
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?:%|x\b|pp\b)?)
      | (?P<comparison>[<>]=?)
      | (?P<parenthesis>[()])
      | (?P<comma>,)
    )""",
    re.VERBOSE,
)
_PLAIN_SCORE: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")


class RuleError(ValueError):
    """A rule cannot be understood. The text says where, and what to write."""


class Against(enum.Enum):
    """What a limit is measured from."""

    VALUE = "value"
    DIFFERENCE = "difference"
    PART = "part"


@dataclass(frozen=True)
class Limit:
    """What a metric is compared with.

    Attributes:
        number: The value, what is added to the baseline's, or the part of the baseline's that is added to it.
        against: Says which of these.
    """

    number: float
    against: Against = Against.VALUE

    @property
    def needs_baseline(self) -> bool:
        """Whether it depends on the baseline's value."""
        return self.against is not Against.VALUE

    def resolved(self, baseline: float) -> float:
        """The value that it amounts to for a baseline's value."""
        if self.against is Against.VALUE:
            return self.number
        if self.against is Against.DIFFERENCE:
            return baseline + self.number
        # A part of the size: 10 % more than -2 is -1.8.
        return baseline + self.number * abs(baseline)

    def __str__(self) -> str:
        if self.against is Against.VALUE:
            return f"({self.number!r})" if math.copysign(1, self.number) < 0 else _plain(self.number)
        sign = "-" if math.copysign(1, self.number) < 0 else "+"
        if self.against is Against.DIFFERENCE:
            return sign + _plain(abs(self.number))
        return f"{sign}{_plain(_rounded(abs(self.number) * 100))}%"


@dataclass(frozen=True)
class Threshold:
    """Holds if a metric of the candidate lies beyond a limit."""

    metric: str
    comparison: str
    limit: Limit

    @property
    def is_inclusive(self) -> bool:
        """Whether the limit itself is beyond it."""
        return self.comparison.endswith("=")

    def __str__(self) -> str:
        return f"{written(self.metric)} {self.comparison} {self.limit}"


@dataclass(frozen=True)
class Worse:
    """Holds if the comparison calls a metric worse. If no metric is named, any of them.

    Attributes:
        metric: Which.
        margin: The largest difference that hardly matters, if not the usual one.
    """

    metric: str | None = None
    margin: Margin | None = None

    def __str__(self) -> str:
        if self.metric is None:
            return "worse"
        return f"worse({written(self.metric)}{'' if self.margin is None else f', {written_margin(self.margin)}'})"


@dataclass(frozen=True)
class NotWorse:
    """Is met if a metric is shown to be worse by no more than a margin (Schuirmann, 1987)."""

    metric: str
    margin: Margin

    def __str__(self) -> str:
        return f"not_worse({written(self.metric)}, {written_margin(self.margin)})"


@dataclass(frozen=True)
class Rule:
    """Fails a candidate for which all of its conditions hold.

    Attributes:
        conditions: These.
        source: How it was written.
    """

    conditions: tuple[Threshold | Worse, ...]
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.source or " and ".join(map(str, self.conditions))


ANY_METRIC_WORSE: Final = Rule((Worse(),), source="worse")


def parse_rule(text: str) -> Rule:
    """The rule that a text describes.

    Raises:
        RuleError: It describes none.
    """
    return _Parser(text).rule()


def parse_demand(text: str) -> NotWorse:
    """The demand that a text describes.

    Raises:
        RuleError: It describes none.
    """
    return _Parser(text).demand()


def parse_margin(metric: str, text: str) -> Margin:
    """The margin of a metric that a text describes: `5%` of the baseline's value, `0.2pp` of a rate, or a number.

    Raises:
        RuleError: There is no such metric, or it is no margin.
    """
    return _Parser(f"worse({metric}, {text})").margin_alone()


def check_together(rules: Sequence[Rule]) -> None:
    """See that each rule can fail something, and that something can pass all of them.

    Raises:
        RuleError: Conditions of one rule exclude each other, or whatever a metric is, one of two rules fails.
    """
    for rule in rules:
        for one, other in _facing(rule.conditions):
            if not _can_hold_together(one, other):
                raise RuleError(f"rule `{rule}`: `{one}` and `{other}` exclude each other, so that it never fails")
    for one, other in _facing([rule.conditions[0] for rule in rules if len(rule.conditions) == 1]):
        is_gap = one.limit.number == other.limit.number and not (one.is_inclusive or other.is_inclusive)
        if one.limit.number <= other.limit.number and not is_gap:
            raise RuleError(f"rules `{one}` and `{other}` contradict each other: whatever it is, one of them fails")


def _facing(conditions: "Sequence[Threshold | Worse]") -> Iterator[tuple[Threshold, Threshold]]:
    """Two conditions that bound one metric from two sides by limits of one kind; the one from below first."""
    limits = [condition for condition in conditions if isinstance(condition, Threshold)]
    for one, other in itertools.permutations(limits, 2):
        if (
            (one.metric, one.limit.against) == (other.metric, other.limit.against)
            and one.comparison.startswith(">")
            and other.comparison.startswith("<")
        ):
            yield one, other


def _can_hold_together(one: Threshold, other: Threshold) -> bool:
    if one.limit.number == other.limit.number:
        return one.is_inclusive and other.is_inclusive
    return one.limit.number < other.limit.number


def written_margin(margin: Margin) -> str:
    """A margin as it is written in a rule."""
    return f"{_plain(_rounded(margin.relative * 100))}%" if margin.relative else _plain(margin.least)


def written(metric: str) -> str:
    """A metric's name as it is written in a rule."""
    score = metric.removeprefix(SCORE_PREFIX)
    if score == metric or _PLAIN_SCORE.fullmatch(score):
        return metric
    escaped = score.replace("\\", r"\\").replace('"', r"\"")
    return f'{SCORE_PREFIX}"{escaped}"'


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._kind: str | None = None
        self._word = ""
        self._advance()

    def rule(self) -> Rule:
        conditions = [self._condition(None)]
        while self._is_word("and"):
            self._advance()
            conditions.append(self._condition(conditions[-1]))
        self._check_end("Join conditions with `and`")
        return Rule(tuple(conditions), source=clean(self._text.strip()))

    def _condition(self, before: Threshold | Worse | None) -> Threshold | Worse:
        if self._is_word("worse"):
            self._advance()
            if not self._is_next("parenthesis", "("):
                return Worse(before.metric if before else None)
            self._advance()
            metric = self._metric()
            margin = self._margin(metric) if self._kind == "comma" else None
            self._expect(")")
            self._check_verdict(metric)
            return Worse(metric, margin)
        if self._is_word("not_worse"):
            raise self._error("not_worse is no reason to fail, but something to show: give it to --require")
        metric = self._metric()
        if self._kind != "comparison":
            raise self._error(f"after {written(metric)} goes one of > >= < <=")
        comparison = self._word
        self._advance()
        return Threshold(metric, comparison, self._limit(metric))

    def demand(self) -> NotWorse:
        if not self._is_word("not_worse"):
            raise self._error("what a candidate has to show is written not_worse(METRIC, MARGIN)")
        self._advance()
        self._expect("(")
        metric = self._metric()
        if self._kind != "comma":
            raise self._error(f"by how much may it be worse? Write not_worse({written(metric)}, 2%)")
        margin = self._margin(metric)
        self._expect(")")
        self._check_end("A demand stands alone")
        self._check_verdict(metric)
        return NotWorse(metric, margin)

    def margin_alone(self) -> Margin:
        condition = self._condition(None)
        if not isinstance(condition, Worse) or condition.margin is None or self._kind is not None:
            raise self._error("that is no margin: write 5%, 0.2pp or a number")
        return condition.margin

    def _margin(self, metric: str) -> Margin:
        self._advance()
        if self._kind != "number" or self._word.endswith("x"):
            raise self._error("a margin is a number: 5% of the baseline's value, 0.2pp of a rate, or a value")
        word = self._word
        if word[0] in "+-":
            raise self._error(f"a margin has no sign: {word} says how much worse is too much, so write {word[1:]}")
        self._advance()
        if word.endswith("%"):
            return Margin(relative=_rounded(self._number(word[:-1]) / 100))
        return Margin(least=self._points(metric, word) if word.endswith("pp") else self._number(word))

    def _points(self, metric: str, word: str) -> float:
        if not metric_named(metric).is_rate and not metric.startswith(SCORE_PREFIX):
            raise self._error(f"{metric} is not a rate, and has no percentage points: write {word[:-2]}% or a number")
        return _rounded(self._number(word[:-2]) / 100)

    def _check_verdict(self, metric: str) -> None:
        if not metric_named(metric).has_verdict:
            raise self._error(f"no comparison judges {metric}: give it a limit, such as `{metric} > +10%`")

    def _metric(self) -> str:
        if self._kind != "name":
            raise self._error("a condition begins with a metric, or with `worse`")
        prefix, _, score = self._word.partition(".")
        if f"{prefix}." == SCORE_PREFIX and score:
            metric = SCORE_PREFIX + _unquoted(score)
        elif self._word in BY_KEY:
            metric = self._word
        else:
            known = [*BY_KEY, SCORE_PREFIX + (score if score and prefix.startswith("scor") else "NAME")]
            hint = did_you_mean(self._word, known) or f" There are {', '.join(known)}."
            raise self._error(f"there is no metric {self._word!r}.{hint}")
        self._advance()
        return metric

    def _limit(self, metric: str) -> Limit:
        if self._is_next("parenthesis", "("):
            self._advance()
            if self._kind != "number" or self._word[-1] in "%xp":
                raise self._error("in parentheses goes a plain number, such as (-0.5)")
            limit = Limit(self._number(self._word))
            self._advance()
            self._expect(")")
            return limit
        if self._kind != "number":
            raise self._error("a limit is a number: 0.05 for the value, +10% or +0.01 or 1.2x for the change")
        word, self_is_signed = self._word, self._word[0] in "+-"
        self._advance()
        if word.endswith("x"):
            if self_is_signed:
                raise self._error(f"{word} has a sign: write 1.2x for a fifth more, 0.8x for a fifth less")
            return Limit(_rounded(self._number(word[:-1]) - 1), Against.PART)
        if word.endswith("pp"):
            if not self_is_signed:
                raise self._error(f"{word} has no sign: write +{word} for that much more than the baseline")
            return Limit(self._points(metric, word), Against.DIFFERENCE)
        if word.endswith("%"):
            part = _rounded(self._number(word[:-1]) / 100)
            if self_is_signed:
                return Limit(part, Against.PART)
            if not metric_named(metric).is_rate:
                raise self._error(f"{metric} is not a rate: write +{word} for that much more than the baseline")
            return Limit(part)
        return Limit(self._number(word), Against.DIFFERENCE if self_is_signed else Against.VALUE)

    def _number(self, text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise self._error(f"{text} is too large")
        return number

    def _expect(self, parenthesis: str) -> None:
        if not self._is_next("parenthesis", parenthesis):
            raise self._error(f"a {parenthesis} is missing")
        self._advance()

    def _check_end(self, hint: str) -> None:
        if self._kind is not None:
            raise self._error(f"what is {self._word!r} doing here? {hint}")

    def _is_word(self, word: str) -> bool:
        return self._is_next("name", word)

    def _is_next(self, kind: str, word: str) -> bool:
        return self._kind == kind and self._word == word

    def _advance(self) -> None:
        rest = self._text[self._position :]
        if not rest or rest.isspace():
            self._kind, self._word = None, ""
            return
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise self._error(f"{rest.split()[0]!r} is no metric, number or comparison")
        self._kind = match.lastgroup
        self._word = match.group(match.lastgroup or 0)
        self._position = match.end()

    def _error(self, problem: str) -> RuleError:
        return RuleError(f"rule `{clean(self._text)}`: {clean(problem)}")


def _unquoted(score: str) -> str:
    """The name of a score, without the quotes that parts of it may be in."""
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), score)


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and number < 1e15 else repr(number)


def _rounded(part: float) -> float:
    # 1.2 - 1 is 0.19999999999999996.
    return round(part, 12)
