# SPDX-License-Identifier: Apache-2.0
"""The templates, and how values are written in them."""

import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel.pages import charts
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import Verdict

_VERDICT_SYMBOLS: Final = {Verdict.BETTER: "✓", Verdict.WORSE: "✗", Verdict.SAME: "=", Verdict.UNKNOWN: "?"}
_BREAKS: Final = re.compile("[\t\n]")
_SHOWN_ID: Final = 10


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page.

    Args:
        template: Its file.
        values: What it shows.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def static(name: str) -> bytes:
    """A file that pages refer to.

    Raises:
        FileNotFoundError: There is none of this name.
    """
    return resources.files("otel_loggedmodel.pages").joinpath("static").joinpath(name).read_bytes()


def warm_up() -> None:
    """Compile the templates now, so that the first page does not wait for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)
    for name in ("pages.css", "pages.js"):
        static(name)


def short_id(model_id: str) -> str:
    """What tells a version from others: the end of its id, or the id where it is of another shape."""
    if has_id_shape(model_id):
        return f"…{model_id[-_SHOWN_ID:]}"
    return model_id if len(model_id) <= 40 else f"{model_id[:39]}…"


def label_of(position: int) -> str:
    """What a version is called in a comparison: `A`, `B`, and so on."""
    return chr(ord("A") + position) if position < 26 else f"#{position + 1}"


def verdict_symbol(verdict: Verdict) -> str:
    """A verdict's symbol, which stands before its word, so that it can be told without colours."""
    return _VERDICT_SYMBOLS[verdict]


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
        dollars=formatting.dollars,
        score=formatting.score,
        per_trace=formatting.per_trace,
        p_value=formatting.p_value,
        instant=formatting.instant,
        short_id=short_id,
        label=label_of,
        symbol=verdict_symbol,
    )
    environment.globals.update(sparkline=charts.sparkline, formatting=formatting)
    return environment
