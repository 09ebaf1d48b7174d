# SPDX-License-Identifier: Apache-2.0
"""The list of traces: what was asked and answered, or why it failed, and what the list is narrowed to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from otel_loggedmodel.pages import narrowing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import Facets, TraceSummary

# Name of the parameter, label of the field, and what to write; the text and the order stand above the list.
FIELDS: Final = (
    ("version", "Another version", "Name or id"),
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
_LONGEST_ADDRESS: Final = 2000
# In the title of a window.
_MOST_NAMED: Final = 3
_FLAGS: Final = frozenset({"production", "errors_only"})


# Of these orders, all traces that the filter finds are in the list; the others leave out what has no cost or no score.
_WHOLE_ORDERS: Final = frozenset({"newest", "slowest"})


def values(
    given: Sequence[tuple[str, str]],
    titles: Mapping[str, Title],
    found: Sequence[TraceSummary],
    facets: Facets,
    chosen: Mapping[str, str],
    *,
    before: int = 0,
) -> Mapping[str, Any]:
    """What the template shows of what the list is narrowed to, and could be.

    Args:
        given: The parameters of the address.
        titles: What the versions of the list are called, and those that it can be narrowed to.
        found: The traces on this page.
        facets: What all traces of the list have.
        chosen: The versions of the address as it names them, with their ids.
        before: How many rows are on the pages before this one.
    """
    here = urlencode(given, errors="replace")
    given = [(name, value) for name, value in given if value and name != "page"]
    calls = {text: titles[model_id].text if model_id in titles else text for text, model_id in chosen.items()}
    of_one = next(iter(calls.values())) if len(calls) == 1 else None
    chips = []
    for place, (name, value) in enumerate(given):
        if name in _CHIPS:
            rest = [pair for number, pair in enumerate(given) if number != place]
            said = calls.get(value, value) if name == "version" else value
            label = _CHIPS[name] if name in _FLAGS else f"{_CHIPS[name]} {said}"
            chips.append((label, f"/traces?{urlencode(rest, errors='replace')}" if rest else "/traces"))
    order = dict(given).get("order", "newest")
    counted = facets.traces if order in _WHOLE_ORDERS and not facets.is_cut else None
    return {
        "given": dict(given),
        "came_from": list_of(here),
        "chips": chips,
        "offers": narrowing.offers(given, titles, facets),
        "versions": narrowing.version_offers(given, chosen, titles, facets),
        "compared": list(chosen.values()) if len(set(chosen.values())) > 1 else [],
        "total": narrowing.total(facets, len(set(chosen.values()))),
        "when": narrowing.when(facets),
        "span": (facets.parts[0].start_ms, facets.parts[-1].start_ms + facets.step_ms) if facets.parts else None,
        "shown": _shown(before, len(found), counted),
        "fields": FIELDS,
        "order_names": _ORDER_NAMES,
        "heading": f"Traces of {of_one}" if of_one else "Traces",
        "title": f"Traces of {' and '.join(calls.values())}" if 0 < len(calls) <= _MOST_NAMED else "Traces",
    }


def list_of(address: str) -> str:
    """What the address of a list says after the question mark, without anything that such an address has not."""
    named = {*_CHIPS, "order", "page"}
    found = [(name, value) for name, value in parse_qsl(address[:_LONGEST_ADDRESS]) if name in named]
    return urlencode(found, errors="replace")


def _shown(before: int, number: int, total: int | None) -> str:
    """Which part of the list this page is. A trace has a row for each request in it, so rows may be more."""
    part = f"{formatting.count(before + 1)} to {formatting.count(before + number)}"
    return part if total is None or before + number > total else f"{part} of {formatting.count(total)}"
