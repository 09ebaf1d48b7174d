# SPDX-License-Identifier: Apache-2.0
"""The templates, and how values are written in them."""

import base64
import functools
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from otel_loggedmodel.pages import figures, files
from otel_loggedmodel.presenting import formatting, labels
from otel_loggedmodel.presenting.deciding import Outcome
from otel_loggedmodel.presenting.naming import short_id
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import Verdict

_SYMBOLS: Final = {"better": "✓", "worse": "✗", "same": "=", "unknown": "?", "mixed": "±"}
_BREAKS: Final = re.compile("[\t\n]")


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page.

    Args:
        template: Its file.
        values: What it shows.
    """
    return _environment().get_template(template).render(values)


def warm_up() -> None:
    """Compile the templates now, so that the first page does not wait for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)
    files.warm_up()


def position(place: int) -> str:
    """What a version is called in a comparison: `A`, `B`, and so on."""
    return chr(ord("A") + place) if place < 26 else f"#{place + 1}"


def symbol_of(verdict: Verdict | Outcome) -> str:
    """The symbol before a verdict's word, so that it can be told without colours."""
    return _SYMBOLS[verdict.value]


def _ago(milliseconds_since_epoch: float | None) -> str:
    return formatting.ago(milliseconds_since_epoch, time.time() * 1000)


def _cleaned(value: object) -> object:
    """A value as it is written where a template names it: texts without control and direction characters."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(part if _BREAKS.fullmatch(part) else clean(part) for part in re.split("([\t\n])", value))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("otel_loggedmodel.pages"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=formatting.count,
        milliseconds=formatting.milliseconds,
        rate=formatting.rate,
        short_rate=formatting.short_rate,
        whole_rate=formatting.whole_rate,
        dollars=formatting.dollars,
        score=formatting.score,
        per_trace=formatting.per_trace,
        p_value=formatting.p_value,
        instant=formatting.instant,
        short_id=short_id,
        ago=_ago,
        per_thousand=formatting.dollars_per_thousand,
        label=position,
        symbol=symbol_of,
        as_address=lambda picture: f"data:image/svg+xml;base64,{base64.b64encode(picture.svg.encode()).decode()}",
    )
    environment.globals.update(
        address_of_file=files.address,
        sparkline=figures.sparkline,
        scale=figures.scale,
        bars=figures.bars,
        formatting=formatting,
        labels=labels,
    )
    return environment
