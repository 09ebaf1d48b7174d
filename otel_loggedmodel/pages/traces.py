# SPDX-License-Identifier: Apache-2.0
"""The list of traces: what was asked and answered, or why it failed, and what the list is narrowed to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from otel_loggedmodel.presenting.naming import Title

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
_FLAGS: Final = frozenset({"production", "errors_only"})


def values(given: Sequence[tuple[str, str]], titles: Mapping[str, Title]) -> Mapping[str, Any]:
    """What the template shows of what the list is narrowed to.

    Args:
        given: The parameters of the address.
        titles: What the versions of the list are called.
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
        "fields": FIELDS,
        "order_names": _ORDER_NAMES,
        "heading": f"Traces of {of_one}" if of_one else "Traces",
        "title": f"Traces of {of_one}" if of_one else "Traces",
    }
