# SPDX-License-Identifier: Apache-2.0
"""A comparison as one HTML file: without scripts, and without anything that is elsewhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from otel_loggedmodel.pages import comparison, files
from otel_loggedmodel.pages.addresses import Chosen
from otel_loggedmodel.pages.templates import render
from otel_loggedmodel.store.chart_results import Activities, Behaviour
from otel_loggedmodel.store.reading import RowFilter
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.version import __version__


@dataclass(frozen=True)
class Held:
    """What a gate made of a comparison.

    Attributes:
        verdict: The words of a verdict on the page: `better` passes, `worse` fails, `unknown` cannot tell.
        said: The same, as the gate says it.
        reason: Why.
        rules: Each rule, what became of it, and what was found.
    """

    verdict: Literal["better", "worse", "unknown"]
    said: str
    reason: str
    rules: Sequence[tuple[str, str, str]]


def report(
    compared: Comparison,
    activities: Activities,
    behaviour: Behaviour,
    rows: Sequence[RowChange],
    chosen: Chosen,
    limit: int,
    made_ms: float,
    held: Held | None = None,
) -> str:
    """The file.

    Args:
        compared: The versions.
        activities: How they did over time.
        behaviour: What is behind their numbers.
        rows: Of data sets, those that changed most.
        chosen: Which traces count.
        limit: How many rows were asked for.
        made_ms: The time, in ms since the epoch.
        held: What a gate made of it; by default, what one without rules would.
    """
    style = files.read("pages.css").decode()
    values: Mapping[str, Any] = {
        **comparison.values(compared, activities, behaviour, rows, chosen, RowFilter(limit=limit)),
        "links": None,
        "held": held,
        "title": "Comparison of " + ", ".join(version.name or version.model_id for version in compared.versions),
        "style": Markup(style),  # noqa: S704 - it is our own, and the digest has to be of this very text
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "made_ms": made_ms,
        "made_by": __version__,
    }
    return render("report.html", values)
