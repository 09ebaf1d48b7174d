# SPDX-License-Identifier: Apache-2.0
"""The list of traces: what was asked and answered, or why it failed, and what the list is narrowed to."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import TraceSummary

# Name of the parameter, label of the field, and what to write.
FIELDS: Final = (
    ("text", "Text", "In inputs, outputs, errors"),
    ("version", "Version", "Name or id"),
    ("model", "Model", "gpt-4.1"),
    ("route", "Route or entry span", "POST /ask"),
    ("error_type", "Error", "TimeoutError"),
    ("score", "Score", "correct<0.5"),
    ("conversation", "Conversation", "Id"),
)
_ORDER_NAMES: Final = {
    "newest": "Newest first",
    "slowest": "Slowest first",
    "costliest": "Costliest first",
    "worst": "Worst scores first",
}
# What narrows a list, as a chip says it; the value follows where there is one.
_CHIPS: Final = {
    "text": "text",
    "version": "version",
    "model": "model",
    "route": "route",
    "error_type": "error",
    "score": "score",
    "conversation": "conversation",
    "since": "since",
    "until": "until",
    "service": "service",
    "traffic": "traffic",
    "dataset": "data set",
    "production": "production only",
    "attribute": "attribute",
    "errors_only": "failed only",
}
# How many values of a kind are offered.
_MOST_OFFERED: Final = 6
_FLAGS: Final = frozenset({"production", "errors_only"})


@dataclass(frozen=True)
class Offer:
    """A value that the list can be narrowed to, with one click.

    Attributes:
        label: The value, as people read it.
        count: How many traces of this page have it.
        address: Of the narrower list.
    """

    label: str
    count: int
    address: str


def values(
    given: Sequence[tuple[str, str]], titles: Mapping[str, Title], found: Sequence[TraceSummary]
) -> Mapping[str, Any]:
    """What the template shows of what the list is narrowed to, and could be.

    Args:
        given: The parameters of the address.
        titles: What the versions of the list are called.
        found: The traces on this page.
    """
    given = [(name, value) for name, value in given if value and name != "page"]
    chips = []
    for place, (name, value) in enumerate(given):
        if name in _CHIPS:
            rest = [pair for number, pair in enumerate(given) if number != place]
            label = _CHIPS[name] if name in _FLAGS else f"{_CHIPS[name]} {value}"
            chips.append((label, f"/traces?{urlencode(rest, errors='replace')}" if rest else "/traces"))
    version = dict(given).get("version")
    of_one = next(iter(titles.values())).text if version and len(titles) == 1 else version
    return {
        "given": dict(given),
        "chips": chips,
        "offers": _offers(given, titles, found),
        "fields": FIELDS,
        "order_names": _ORDER_NAMES,
        "heading": f"Traces of {of_one}" if of_one else "Traces",
        "title": f"Traces of {of_one}" if of_one else "Traces",
    }


def _offers(
    given: Sequence[tuple[str, str]], titles: Mapping[str, Title], found: Sequence[TraceSummary]
) -> list[tuple[str, list[Offer]]]:
    """What tells the traces of this page apart, by kind: what all of them share narrows nothing."""
    kinds: tuple[tuple[str, str, Callable[[TraceSummary], str | None]], ...] = (
        ("Version", "version", lambda one: one.model_id),
        ("Route", "route", lambda one: one.span_name),
        ("Service", "service", lambda one: one.service),
        ("Failed with", "text", lambda one: one.reason[:120] if one.error else None),
        ("Conversation", "conversation", lambda one: one.conversation),
    )
    offers = []
    for title, name, value_of in kinds:
        counts = Counter(value for one in found if (value := value_of(one)))
        if dict(given).get(name) or (len(counts) < 2 and sum(counts.values()) in (0, len(found))):
            continue
        # Of as many conversations as traces, none is worth a place.
        common = [
            (value, count) for value, count in counts.most_common(_MOST_OFFERED) if count > 1 or title != "Conversation"
        ]
        if common:
            made = [Offer(_said(value, titles), count, _with(given, name, value)) for value, count in common]
            offers.append((title, made))
    return offers


def _said(value: str, titles: Mapping[str, Title]) -> str:
    return f"{titles[value].text} {titles[value].short_id}" if value in titles else value


def _with(given: Sequence[tuple[str, str]], name: str, value: str) -> str:
    return f"/traces?{urlencode([*given, (name, value)], errors='replace')}"
