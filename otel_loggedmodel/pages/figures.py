# SPDX-License-Identifier: Apache-2.0
"""Small pictures beside numbers: a trend, an interval, bars. What `charts` says of its pictures holds here too."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import Verdict

# More series than this have the same colours again.
COLOURS: Final = 8

_SPARK_WIDTH, _SPARK_HEIGHT = 88, 22
# Of the highest value, the least range that a sparkline shows: less is noise.
_LEAST_RANGE: Final = 0.3
# How many dots a stack of rows is high, and how many it is wide.
_DOTS_HIGH, _DOTS_WIDE = 8, 4
# A ratio of ten is so many per cent of the width away from the middle of an interval chart.
_DECADE: Final = 38.4


def sparkline(values: Sequence[float | None], label: str, write: Callable[[float | None], str]) -> Markup:
    """A line without axes, of what happened in parts of time; gaps where there is no value.

    One value is no trend, and nothing is drawn.

    Args:
        values: What they were; parts without a value at either end are left out.
        label: What it is.
        write: Makes a value readable.
    """
    values = _trimmed(values)
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    label = f"{label}: {write(min(known))} to {write(max(known))}, last {write(known[-1])}"
    extent = max(max(known) - min(known), _LEAST_RANGE * max(map(abs, known))) or 1.0
    middle = (max(known) + min(known)) / 2
    step = (_SPARK_WIDTH - 6) / (len(values) - 1)
    points = [
        None
        if value is None
        else (3 + place * step, _SPARK_HEIGHT / 2 - (value - middle) / extent * (_SPARK_HEIGHT - 6))
        for place, value in enumerate(values)
    ]
    x, y = next(point for point in reversed(points) if point is not None)
    return Markup(
        '<svg class="spark" viewBox="0 0 {width} {height}" role="img" aria-label="{label}"><title>{label}</title>'
        '<path class="ln" d="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/></svg>'
    ).format(width=_SPARK_WIDTH, height=_SPARK_HEIGHT, label=clean(label), path=path_of(points), x=x, y=y)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A difference and its interval, as a chart shows it.

    Attributes:
        low: The interval's low end.
        high: Its high end.
        delta: The difference.
        base: The first version's value, which the difference is relative to.
        margin: Up to which a difference does not matter.
        higher_is_better: Whether more is better.
        verdict: What the difference amounts to.
    """

    low: float
    high: float
    delta: float
    base: float
    margin: float
    higher_is_better: bool
    verdict: Verdict

    def place(self, delta: float) -> float:
        """Where a difference is along the width, in per cent; better is to the right of the middle."""
        return 50 + self._decades(delta) * _DECADE

    def _decades(self, delta: float) -> float:
        sign = 1 if self.higher_is_better else -1
        if self.base > 0:
            ratio = (self.base + delta) / self.base
            return sign * (math.log10(ratio) if ratio > 0 else -math.inf)
        # Against nothing, or less than nothing, there is no ratio: any difference is a large one.
        return sign * (math.inf if delta > 0 else -math.inf if delta < 0 else 0.0)


def interval(span: Span, label: str, height: int = 20, *, with_ends: bool = False) -> Markup:
    """A difference and its interval on one scale for all metrics: the ratio to the first version.

    Args:
        span: What is drawn.
        label: What it is, for those who cannot see it.
        height: In pixels.
        with_ends: Whether words below say which side is better.
    """
    middle = height / 2
    left, right = sorted((span.place(span.low), span.place(span.high)))
    # Against nothing, any margin would be all of the width.
    margin = sorted((span.place(-span.margin), span.place(span.margin))) if span.base > 0 else (50.0, 50.0)
    low_margin, high_margin = max(margin[0], 0.0), min(margin[1], 100.0)
    body = [
        Markup('<rect class="margin" x="{:.1f}%" width="{:.1f}%" height="{}"/>').format(
            low_margin, max(high_margin - low_margin, 0.4), height
        ),
        Markup('<line class="zero" x1="50%" x2="50%" y2="{}"/>').format(height),
        Markup('<line class="iv {}" x1="{:.1f}%" x2="{:.1f}%" y1="{y:.1f}" y2="{y:.1f}"/>').format(
            span.verdict, _within(left), _within(right), y=middle
        ),
        _end(left, -1, middle, span.verdict),
        _end(right, 1, middle, span.verdict),
        _dot(_within(span.place(span.delta)), middle, span.verdict),
    ]
    if with_ends:
        y = height + 12
        body += [
            Markup('<text y="{}">worse</text>').format(y),
            Markup('<text x="50%" y="{}" text-anchor="middle">same</text>').format(y),
            Markup('<text x="100%" y="{}" text-anchor="end">better</text>').format(y),
        ]
    return Markup(
        '<svg class="plot interval" height="{}" role="img" aria-label="{label}"><title>{label}</title>{}</svg>'
    ).format(height + (14 if with_ends else 0), Markup("").join(body), label=clean(label))


def scale() -> Markup:
    """The scale of the interval charts, as the head of their column."""
    marks = [
        Markup('<text x="{:.1f}%" y="29" text-anchor="middle">{}</text>').format(50 + _DECADE * place, text)
        for place, text in ((-1, "10x"), (-math.log10(3), "3x"), (0, "same"), (math.log10(3), "3x"), (1, "10x"))
    ]
    return Markup(
        '<svg class="plot" height="32" role="img" aria-label="Scale: worse to the left, better to the right, as a'
        ' ratio"><text y="11">← worse</text><text x="100%" y="11" text-anchor="end">better →</text>{}</svg>'
    ).format(Markup("").join(marks))


def bars(values: Sequence[float | None], most: float, label: str) -> Markup:
    """A thin bar for each version, below one another.

    Args:
        values: From 0 on.
        most: What fills the width.
        label: What it is.
    """
    drawn = [
        Markup('<rect class="b{}" y="{}" width="{:.1f}%" height="5"/>').format(
            number % COLOURS, 2 + 7 * number, min(max((value or 0.0) / most, 0.0), 1.0) * 100 if most else 0.0
        )
        for number, value in enumerate(values)
    ]
    return Markup('<svg class="plot" height="{}" role="img" aria-label="{}">{}</svg>').format(
        4 + 7 * len(values), clean(label), Markup("").join(drawn)
    )


def dots(changes: Sequence[int], most: float, label: str) -> Markup:
    """Rows of a data set as dots, by how much they changed: better to the right, a stack for each part.

    Args:
        changes: How many rows changed how much, the lowest first; the one in the middle did not change.
        most: The change at either end.
        label: What it is, for those who cannot see it.
    """
    middle, floor = len(changes) // 2, 8 * _DOTS_HIGH + 4
    each = rows_of_a_dot(changes)
    body = [
        Markup('<line class="zero" x1="50%" x2="50%" y2="{}"/><line class="zero" x2="100%" y1="{y}" y2="{y}"/>').format(
            floor, y=floor
        )
    ]
    for place, number in enumerate(changes):
        if not number:
            continue
        count = -(-number // each)
        columns = -(-count // _DOTS_HIGH)
        drawn = [
            _small_dot(8 * (one // _DOTS_HIGH) - 4 * (columns - 1), -5 - 8 * (one % _DOTS_HIGH), place - middle)
            for one in range(count)
        ]
        body.append(
            Markup('<svg x="{:.2f}%" y="{}"><title>{}</title>{}</svg>').format(
                100 * (place + 0.5) / len(changes), floor, f"{number:,}", Markup("").join(drawn)
            )
        )
    ends = (("0", "start", f"-{most:.4g}"), ("50%", "middle", "same"), ("100%", "end", f"+{most:.4g}"))
    body += [
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, floor + 15, anchor, text)
        for x, anchor, text in ends
    ]
    return Markup('<svg class="plot" height="{}" role="img" aria-label="{}">{}</svg>').format(
        floor + 18, clean(label), Markup("").join(body)
    )


def rows_of_a_dot(changes: Sequence[int]) -> int:
    """For how many rows a dot stands: one, if the highest stack has room for all of its rows."""
    return max(1, -(-max(changes, default=0) // (_DOTS_HIGH * _DOTS_WIDE)))


def _small_dot(x: int, y: int, direction: int) -> Markup:
    """A circle is better, a square worse, a hollow circle the same."""
    if direction < 0:
        return Markup('<rect class="dot worse" x="{}" y="{}" width="4" height="4"/>').format(x - 2, y - 2)
    kind = "better" if direction else "unknown"
    return Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"/>').format(kind, x, y)


def _within(place: float) -> float:
    return min(max(place, 1.0), 99.0)


def _end(place: float, side: int, y: float, verdict: Verdict) -> Markup:
    """The end of an interval: a bar, or an arrow where it goes on."""
    if 1.0 <= place <= 99.0:
        return Markup('<line class="iv {}" x1="{x:.1f}%" x2="{x:.1f}%" y1="{:.1f}" y2="{:.1f}"/>').format(
            verdict, y - 4, y + 4, x=place
        )
    back = -6 * side
    return Markup('<svg x="{:.1f}%" y="{:.1f}"><path class="iv {}" d="M{back} -4L0 0L{back} 4"/></svg>').format(
        _within(place), y, verdict, back=back
    )


def _dot(place: float, y: float, verdict: Verdict) -> Markup:
    """A circle is better, a square worse, a hollow circle unknown: the shape tells it too."""
    if verdict is Verdict.WORSE:
        return Markup(
            '<svg x="{:.1f}%" y="{:.1f}"><rect class="dot worse" x="-3" y="-3" width="6" height="6"/></svg>'
        ).format(place, y)
    return Markup('<circle class="dot {}" cx="{:.1f}%" cy="{:.1f}" r="3.5"/>').format(verdict, place, y)


def _trimmed(values: Sequence[float | None]) -> Sequence[float | None]:
    """Without the parts at either end that have no value."""
    known = [place for place, value in enumerate(values) if value is not None]
    return values[known[0] : known[-1] + 1] if known else ()


def path_of(points: Sequence[tuple[float, float] | None]) -> str:
    """Lines between neighbours; a point alone is drawn as a short line."""
    parts = []
    is_down = False
    for place, point in enumerate(points):
        if point is None:
            is_down = False
            continue
        parts.append(f"{'L' if is_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        following = points[place + 1] if place + 1 < len(points) else None
        if not is_down and following is None:
            parts.append("h0.1")
        is_down = True
    return "".join(parts)
