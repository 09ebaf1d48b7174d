# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG, made on the server.

So a page can forbid scripts and styles that are not files, which chart libraries need. A chart is also the same in a
file that is mailed. Colours come from the style sheet by class, so that they follow light and dark; lines differ in
their dashes, too. What is under the mouse shows its values, and tables beside the charts show them to everybody.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.behaving import BINS_PER_DECADE

# More series than this have the same colours again.
COLOURS: Final = 8

_SPARK_WIDTH, _SPARK_HEIGHT = 72, 18
_WIDTH, _HEIGHT = 460, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 14, 30
_LABEL_ROOM: Final = 52
_IDLE_ZEROS: Final = re.compile(r"(?:(\.\d*?[1-9])|\.)0+(?!\d)")
_MOST_INTERVAL: Final = 120


def sparkline(values: Sequence[float | None], label: str, write: Callable[[float | None], str]) -> Markup:
    """A line without axes, of what happened in parts of time; gaps where there is no value.

    One value is no trend, and nothing is drawn.

    Args:
        values: From 0 on.
        label: What it is.
        write: Makes a value readable.
    """
    known = [value for value in values if value is not None]
    if known:
        label = f"{label}: {write(min(known))} to {write(max(known))}, last {write(known[-1])}"
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    step = (_SPARK_WIDTH - 2) / max(len(values) - 1, 1)
    points = [
        None if value is None else (1 + place * step, 1 + (_SPARK_HEIGHT - 2) * (1 - value / most))
        for place, value in enumerate(values)
    ]
    return Markup(
        '<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        ' aria-label="{label}"><title>{label}</title><path class="line" d="{path}"/></svg>'
    ).format(width=_SPARK_WIDTH, height=_SPARK_HEIGHT, label=clean(label), path=_path(points) if len(known) > 1 else "")


def interval(low: float, high: float, delta: float, margin: float, label: str) -> Markup:
    """A difference and its interval about zero, with the differences that do not matter shaded.

    Args:
        low: The interval's low end.
        high: Its high end.
        delta: The difference.
        margin: Up to which a difference does not matter.
        label: What it is, for those who cannot see it.
    """
    span = max(abs(low), abs(high), abs(delta), margin) * 1.1 or 1.0

    def x(value: float) -> float:
        return round(_MOST_INTERVAL / 2 * (1 + value / span), 2)

    return Markup(
        '<svg class="interval" viewBox="0 0 {width} 16" width="{width}" height="16" role="img" aria-label="{label}">'
        "<title>{label}</title>"
        '<rect class="margin" x="{margin_x}" y="1" width="{margin_width}" height="14"/>'
        '<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="16"/>'
        '<line class="range" x1="{low}" x2="{high}" y1="8" y2="8"/>'
        '<circle class="dot" cx="{delta}" cy="8" r="3"/></svg>'
    ).format(
        width=_MOST_INTERVAL,
        label=clean(label),
        margin_x=x(-margin),
        margin_width=round(x(margin) - x(-margin), 2),
        zero=x(0),
        low=x(low),
        high=max(x(high), x(low) + 1),
        delta=x(delta),
    )


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        label: What it is called.
        values: One for each part of time; None where there is none.
        marks: Times in ms at which something happened to it.
    """

    label: str
    values: Sequence[float | None]
    marks: Sequence[int] = ()


def over_time(
    series: Sequence[Series], start_ms: int, step_ms: int, title: str, write: Callable[[float | None], str]
) -> Markup:
    """Lines over time, with a mark at the top of the chart where a version was activated.

    Args:
        series: The lines, all of the same length.
        start_ms: When the first part of time begins.
        step_ms: How long each is.
        title: What is shown.
        write: Makes a value readable.
    """
    parts = max((len(one.values) for one in series), default=0)
    most = max((value for one in series for value in one.values if value is not None), default=0.0)
    if parts == 0:
        return Markup("")
    top = _nice(most)

    def x(part: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (part + 0.5) / parts

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / top)

    # Levels may read alike, such as none and half a trace: one of them is enough.
    levels = {write(level): level for level in (top / 2, 0.0, top)}
    body = [_level(y(level), label) for label, level in sorted(levels.items(), key=lambda one: one[1])]
    for place in sorted({0, parts // 2, parts - 1}):
        body.append(_below(x(place), time_of(start_ms + place * step_ms, step_ms)))
    for number, one in enumerate(series):
        for mark in one.marks:
            part = (mark - start_ms) / step_ms - 0.5
            if -0.5 <= part <= parts - 0.5:
                body.append(
                    Markup(
                        '<path class="mark c{colour}" d="M{x:.1f} {top}l-5 -8h10z"><title>{label} activated {time}'
                        "</title></path>"
                    ).format(
                        colour=number % COLOURS,
                        x=x(part),
                        top=_TOP + 2,
                        label=clean(one.label),
                        time=formatting.instant(mark),
                    )
                )
        points = [None if value is None else (x(part), y(value)) for part, value in enumerate(one.values)]
        body.append(Markup('<path class="line c{}" d="{}"/>').format(number % COLOURS, _path(points)))
        body += [
            Markup('<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
                number % COLOURS, *point, 2.5 if parts <= 60 else 1.5
            )
            for point in points
            if point is not None
        ]
    for part in range(parts):
        said = [(one.label, write(one.values[part])) for one in series if one.values[part] is not None]
        if said:
            body.append(_said(x(part - 0.5), x(part + 0.5), time_of(start_ms + part * step_ms, step_ms), said))
    return _chart(body, title)


def distributions(bins: Sequence[Mapping[int, int]], labels: Sequence[str], title: str) -> Markup:
    """How latencies are distributed, over one another, on a logarithmic axis; each as shares of its own traces.

    Args:
        bins: For each version its counts, by bin as `store.behaving` has them.
        labels: What the versions are called.
        title: What is shown.
    """
    places = [place for one in bins for place in one]
    if not places:
        return Markup("")
    first, last = min(places), max(places)
    # A few wide bins where there are few traces, as most narrow ones would be empty.
    fewest = min(sum(one.values()) for one in bins if one)
    width = 1 if fewest >= 400 else 2 if fewest >= 100 else 4
    low, high = first // width * width, last // width * width + width
    shares = []
    for one in bins:
        total = sum(one.values()) or 1
        shares.append(
            [sum(one.get(place + extra, 0) for extra in range(width)) / total for place in range(low, high, width)]
        )
    top = _nice(max(max(share) for share in shares))

    def x(place: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place - low) / (high - low)

    def y(share: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share / top)

    body = [_level(y(level), formatting.rate(level)) for level in (0.0, top / 2, top)]
    taken = 0.0
    for place, label in _decades(low, high):
        tick = Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>')
        body.append(tick.format(x(place), _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM + 5))
        if x(place) - taken >= _LABEL_ROOM and x(place) <= _WIDTH - _LABEL_ROOM / 2:
            taken = x(place)
            body.append(_below(taken, label))
    for number, share in enumerate(shares):
        points = [(x(low), y(0))]
        for place, value in enumerate(share):
            points += [(x(low + place * width), y(value)), (x(low + (place + 1) * width), y(value))]
        points.append((x(high), y(0)))
        path = _path(points)
        body.append(
            Markup('<path class="area c{0}" d="{1}"/><path class="line c{0}" d="{1}"/>').format(number % COLOURS, path)
        )
    for place in range(len(shares[0])):
        begin = low + place * width
        said = [(label, formatting.rate(share[place])) for share, label in zip(shares, labels, strict=True)]
        limits = [formatting.milliseconds(10 ** (limit / BINS_PER_DECADE)) for limit in (begin, begin + width)]
        body.append(_said(x(begin), x(begin + width), " to ".join(limits), said))
    return _chart(body, title)


def _decades(low: int, high: int) -> Iterable[tuple[float, str]]:
    """Where the axis says a latency: round numbers, as many as have room."""
    decades = (high - low) / BINS_PER_DECADE
    factors: tuple[float, ...] = next(
        numbers
        for most, numbers in ((1.2, (1, 2, 3, 5)), (2.5, (1, 2, 5)), (4, (1, 3)), (math.inf, (1,)))
        if decades <= most
    )
    found = []
    for power in range(low // BINS_PER_DECADE - 1, high // BINS_PER_DECADE + 2):
        for factor in factors:
            place = BINS_PER_DECADE * (power + math.log10(factor))
            if low <= place <= high:
                found.append((place, formatting.milliseconds(factor * 10.0**power)))
    return found


def _said(left: float, right: float, title: str, values: Iterable[tuple[str, str]]) -> Markup:
    """What a browser shows while the mouse is over a part of a chart, which is easier to hit than a point."""
    text = "\n".join([title, *(f"{clean(label)}: {value}" for label, value in values)])
    return Markup('<rect class="said" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>').format(
        left, _TOP + 3, right - left, _HEIGHT - _TOP - _BOTTOM - 3, text
    )


def _chart(body: Sequence[Markup], title: str) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, clean(title), Markup("").join(body)
    )


def _level(y: float, label: str) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{}" y="{:.1f}" text-anchor="end">{}'
        "</text>"
    ).format(_LEFT, _WIDTH - _RIGHT, _LEFT - 6, y + 4, _IDLE_ZEROS.sub(r"\1", label), y=y)


def _below(x: float, label: str) -> Markup:
    x = min(max(x, _LEFT), _WIDTH - 40)
    return Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, _HEIGHT - 10, escape(label))


def _path(points: Sequence[tuple[float, float] | None]) -> str:
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


def _nice(most: float) -> float:
    """A round number that is not less."""
    if most <= 0 or not math.isfinite(most):
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in (1, 2, 2.5, 4, 5, 8, 10) if factor * power >= most * (1 - 1e-9))


def time_of(milliseconds: int, step_ms: int) -> str:
    """When a part of time begins, as precisely as its length asks for."""
    text = formatting.instant(milliseconds)
    return text[:10] if step_ms >= 86_400_000 else text[5:16]
