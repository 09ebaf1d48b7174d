# SPDX-License-Identifier: Apache-2.0
"""Pictures of a comparison as SVG that stand alone: in a pull request, in a notebook, on a slide.

Each is one text with its colours in it, light and dark, that refers to nothing else. Where the page shows the same, it
has the same tokens and the same pieces.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from otel_loggedmodel.pages import charts, comparison, files
from otel_loggedmodel.pages.evidence import Decision, GroupShown, decisions_of
from otel_loggedmodel.pages.templates import position, symbol_of
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.presenting.texts import clean, cut
from otel_loggedmodel.store.chart_results import Activities, Behaviour
from otel_loggedmodel.store.results import Comparison

WIDTH: Final = 960
_EDGE: Final = 24
_COLUMN: Final = (WIDTH - 2 * _EDGE) // 4
# As many letters of the sentence as a line surely has room for, in any font.
_LETTERS: Final = 76
# The widest that a digit of a value is, in pixels: in a bold system font.
_LETTER: Final = 12
_SECTIONS: Final = ("Tokens", "Charts", "Versions three and more")
_OWN_STYLE: Final = """
.ground { fill: var(--surface-1); stroke: var(--line); }
svg text.says { font-size: 20px; font-weight: 600; fill: var(--ink-1); }
svg text.strong { font-size: 14px; font-weight: 600; fill: var(--ink-1); }
svg .from { font-size: 18px; font-weight: 600; fill: var(--a); }
svg .into { font-size: 18px; font-weight: 600; fill: var(--b); }
svg .better { fill: var(--better); } svg .worse { fill: var(--worse); }
svg .same, svg .unknown { fill: var(--unknown); } svg .mixed { fill: var(--ink-1); }
svg .iv { fill: none; }
svg .keya { fill: var(--a); } svg .keyb { fill: var(--b); } svg text.key { fill: var(--surface-1); font-weight: 600; }
"""


@dataclass(frozen=True)
class Picture:
    """An SVG that needs nothing else; a notebook shows it.

    Attributes:
        title: What it shows, in words.
        svg: The text.
    """

    title: str
    svg: str

    def save(self, path: str | Path) -> None:
        """Write it as a file."""
        Path(path).write_text(self.svg, encoding="utf-8", errors="replace")

    def __repr__(self) -> str:
        """What it shows."""
        return self.title

    def _repr_svg_(self) -> str:
        return self.svg


def decision(compared: Comparison) -> Picture:
    """The sentence, and quality, errors, speed and cost with a verdict each; of several versions, below each other."""
    titles = titles_of(compared)
    body: list[Markup] = []
    height = 0
    decisions = decisions_of(compared, titles.calls)
    for place, one in enumerate(decisions, start=1):
        drawn, used = _decision(one, titles.titles[0], titles.titles[place], place)
        body.append(Markup('<svg y="{}" width="{}" height="{}">{}</svg>').format(height, WIDTH, used, drawn))
        height += used
    said = "; ".join(one.sentence for one in decisions)
    if not decisions:
        said = f"{titles.calls[0]}, with nothing to compare it with"
        body.append(_text(_EDGE, 40, said, "says"))
        height = 64
    return Picture(said, _alone(Markup("").join(body), height, said))


def plots(compared: Comparison, activities: Activities, behaviour: Behaviour) -> list[Picture]:
    """How latency is distributed, and each number over time."""
    titles = titles_of(compared).titles
    labels = [f"{position(place)} {title.text}" for place, title in enumerate(titles)]
    medians = [version.latency_ms.p50 for version in compared.versions]
    drawn = [("Distribution of latency", charts.distributions(behaviour.latency_bins, labels, "Latency", medians))]
    drawn += [(one.title, one.picture) for one in comparison.over_time(activities, labels)]
    return [_plot(f"{title}: {', '.join(labels)}", title, chart, labels) for title, chart in drawn if chart]


def _decision(found: Decision, base: Title, candidate: Title, place: int) -> tuple[Markup, int]:
    """One decision, and how high it is."""
    lines = textwrap.wrap(clean(found.sentence), _LETTERS, break_long_words=True)
    body = [_text(_EDGE, 38 + 26 * number, line, "says") for number, line in enumerate(lines)]
    y = 46 + 26 * len(lines)
    x = _EDGE
    for number, (title, colour) in enumerate(((base, "a"), (candidate, "b"))):
        words = " ".join(
            filter(None, (title.text, title.short_id if title.text != title.short_id else "", title.stage))
        )
        words = cut(words, 60)
        body.append(
            Markup(
                '<rect class="key{}" x="{}" y="{}" width="18" height="18" rx="4"/>'
                '<text class="key" x="{}" y="{}" text-anchor="middle">{}</text>'
            ).format(colour, x, y - 13, x + 9, y, position(0 if number == 0 else place))
        )
        body.append(_text(x + 26, y, words))
        x += 2 * _COLUMN
    y += 18
    body.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(_EDGE, WIDTH - _EDGE, y=y))
    for number, group in enumerate(found.groups):
        body += _group(group, _EDGE + number * _COLUMN, y)
    return Markup("").join(body), y + 154


def _group(shown: GroupShown, x: int, y: int) -> list[Markup]:
    """One of the four columns."""
    group, width = shown.group, _COLUMN - 24
    outcome = Markup('<text class="{}" x="{}" y="{}" text-anchor="end" font-weight="600">{} {}</text>').format(
        group.outcome, x + width, y + 28, symbol_of(group.outcome), group.outcome
    )
    parts = [_text(x, y + 28, group.title, "strong"), outcome]
    what = shown.what or "not measured"
    parts.append(_text(x, y + 46, cut(what, 31)))
    if not shown.what:
        return parts
    values = [clean(value) for value in shown.values]
    parts.append(
        Markup(
            '<text x="{}" y="{}"{}><tspan class="from">{}</tspan> → <tspan class="into">{}</tspan></text>'
            '<text class="{}" x="{}" y="{}" font-weight="600">{}</text>'
        ).format(x, y + 72, _squeezed(values, width), *values, shown.verdict, x, y + 90, clean(shown.change))
    )
    if shown.picture:
        place = Markup('<svg x="{}" y="{}" width="{}" height="40">{}</svg>')
        parts.append(place.format(x, y + 100, width, shown.picture))
    elif group.why:
        parts += [_text(x, y + 112 + 16 * line, text) for line, text in enumerate(textwrap.wrap(group.why, 34)[:2])]
    return parts


def _squeezed(values: Sequence[str], width: int) -> Markup:
    """The attributes that keep two long values within a column, in whatever font they are drawn."""
    is_long = sum(map(len, values)) + 3 > width // _LETTER
    return Markup(' textLength="{}" lengthAdjust="spacingAndGlyphs"').format(width) if is_long else Markup("")


def _plot(said: str, title: str, chart: Markup, labels: Sequence[str]) -> Picture:
    legend = []
    x = _EDGE
    for number, label in enumerate(labels[:3]):
        words = clean(cut(label, 36))
        key = Markup('<svg x="{}" y="52" width="24" height="10"><path class="line c{}" d="M0 5H24"/></svg>')
        legend += [key.format(x, number), _text(x + 32, 61, words)]
        x += 300
    body = Markup('{}{}<svg x="{}" y="84" width="{}" height="240">{}</svg>').format(
        _text(_EDGE, 34, title, "strong"), Markup("").join(legend), _EDGE, WIDTH - 2 * _EDGE, chart
    )
    return Picture(title, _alone(body, 320, said))


def _text(x: int, y: int, text: str, kind: str = "") -> Markup:
    return Markup('<text x="{}" y="{}"{}>{}</text>').format(
        x, y, Markup(' class="{}"').format(kind) if kind else "", clean(text)
    )


def _alone(body: Markup, height: int, said: str) -> str:
    """A whole document, with what the style sheet of the pages says of charts."""
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"'
            ' aria-label="{said}"><title>{said}</title><style>{style}</style>'
            '<rect class="ground" x=".5" y=".5" width="{}" height="{}" rx="8"/>{body}</svg>\n'
        ).format(WIDTH - 1, height - 1, w=WIDTH, h=height, said=clean(said), style=_style(), body=body)
    )


def _style() -> Markup:
    sections = re.split(r"(?m)^/\* (?=[A-Z])", files.read("pages.css").decode())
    wanted = [part.partition("*/")[2] for part in sections if part.startswith(_SECTIONS)]
    return Markup("".join(wanted) + _OWN_STYLE)  # noqa: S704  all of it is ours
