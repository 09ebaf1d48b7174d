# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG, made on the server.

A page may then forbid scripts and styles that are not files, under which chart libraries do not work, and a chart is
the same in a file that is mailed. Positions along the width are per cent and strokes do not scale, so that a chart
fills any width and its text keeps its size. Colours come from the style sheet by class, so that they follow light and
dark; lines differ in their dashes, too. What is under the mouse says its values, and tables beside the charts say them
to everybody.
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from otel_loggedmodel.pages.figures import COLOURS, path_of
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.behaving import BINS_PER_DECADE

# In pixels; along the width everything is per cent.
# Per cent of the width. Further left there is no room for a value before its line, and further right none behind it.
_LEFT: Final = 32
_RIGHT: Final = 60
_HEIGHT: Final = 190
_TOP: Final = 14
_BELOW: Final = 24
_IDLE_ZEROS: Final = re.compile(r"(?:(\.\d*?[1-9])|\.)0+(?!\d)")
# Labels below an axis have to be so many per cent of the width from one another.
_LABEL_ROOM: Final = 14.0
_FEWEST_BINS: Final = 6


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
    """Lines over time, with a dotted line where a version was activated.

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
        return 100 * (part + 0.5) / parts

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP) * (1 - value / top)

    # Levels may read alike, such as none and half a trace: one of them is enough.
    levels = {write(level): level for level in (top / 2, 0.0, top)}
    body = [_level(y(level), label) for label, level in sorted(levels.items(), key=lambda one: one[1])]
    places = sorted({0, parts // 4, parts // 2, 3 * parts // 4, parts - 1} if parts > 8 else {0, parts // 2, parts - 1})
    body += _axis((x(place), time_of(start_ms + place * step_ms, step_ms)) for place in places)
    lines = []
    for number, one in enumerate(series):
        body += _activations(one, number % COLOURS, (start_ms, step_ms, parts), x)
        points = [None if value is None else (x(part), y(value)) for part, value in enumerate(one.values)]
        lines.append(Markup('<path class="line c{}" d="{}"/>').format(number % COLOURS, path_of(points)))
        body += [
            Markup('<circle class="dot c{}" cx="{:.2f}%" cy="{:.1f}" r="{}"/>').format(
                number % COLOURS, *point, 2.5 if parts <= 60 else 1.2
            )
            for point in points
            if point is not None
        ]
    body.insert(0, _stretched(lines))
    for part in range(parts):
        said = [(one.label, write(one.values[part])) for one in series if one.values[part] is not None]
        if said:
            body.append(_said(x(part - 0.5), x(part + 0.5), time_of(start_ms + part * step_ms, step_ms), said))
    return _chart(body, title)


def _activations(
    one: Series, colour: int, times: tuple[int, int, int], x: Callable[[float], float]
) -> Iterable[Markup]:
    start_ms, step_ms, parts = times
    for mark in one.marks:
        part = (mark - start_ms) / step_ms - 0.5
        if -0.5 <= part <= parts - 0.5:
            yield Markup(
                '<line class="mark c{}" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="{}"><title>{} activated {}</title>'
                "</line>"
            ).format(colour, _HEIGHT, clean(one.label), formatting.instant(mark), x=x(part))


def distributions(
    bins: Sequence[Mapping[int, int]],
    labels: Sequence[str],
    title: str,
    medians: Sequence[float | None] = (),
) -> Markup:
    """How latencies are distributed, over one another, on a logarithmic axis; each as shares of its own traces.

    The axis holds all but the outermost traces: an outlier does not make everything else narrow.

    Args:
        bins: For each version its counts, by bin as `store.behaving` has them.
        labels: What the versions are called.
        title: What is shown.
        medians: Of each version in ms.
    """
    if not any(bins):
        return Markup("")
    shown = [_without_outliers(one) for one in bins]
    places = [place for one in shown for place in one]
    first, last = min(places), max(places)
    # A few wide bins where there are few traces, as most narrow ones would be empty.
    fewest = min(sum(one.values()) for one in bins if one)
    width = 1 if fewest >= 400 else 2 if fewest >= 100 else 4
    low, high = first // width * width, last // width * width + width
    if high - low < _FEWEST_BINS * width:
        # A block from end to end looks like no distribution.
        low, high = low - _FEWEST_BINS // 2 * width, high + _FEWEST_BINS // 2 * width
    shares = []
    for one in bins:
        total = sum(one.values()) or 1
        share = [sum(one.get(place + extra, 0) for extra in range(width)) / total for place in range(low, high, width)]
        # What is beyond an end stands at that end.
        share[0] += sum(count for place, count in one.items() if place < low) / total
        share[-1] += sum(count for place, count in one.items() if place >= high) / total
        shares.append(share)
    top = _nice(max(max(share) for share in shares))

    def x(place: float) -> float:
        return 100 * (place - low) / (high - low)

    def y(share: float) -> float:
        return _TOP + (_HEIGHT - _TOP) * (1 - share / top)

    curves = []
    for number, share in enumerate(shares):
        points = [(x(low), y(0))]
        for place, value in enumerate(share):
            points += [(x(low + place * width), y(value)), (x(low + (place + 1) * width), y(value))]
        points.append((x(high), y(0)))
        path = path_of(points)
        curves.append(
            Markup('<path class="area c{0}" d="{1}"/><path class="line c{0}" d="{1}"/>').format(number % COLOURS, path)
        )
    body = [_stretched(curves), *(_level(y(level), formatting.rate(level)) for level in (0.0, top / 2, top))]
    body += _axis((x(place), label) for place, label in _decades(low, high))
    body += _medians(medians, labels, lambda value: x(math.log10(value) * BINS_PER_DECADE))
    for place in range(len(shares[0])):
        begin = low + place * width
        said = [(label, formatting.rate(share[place])) for share, label in zip(shares, labels, strict=True)]
        limits = [formatting.milliseconds(10 ** (limit / BINS_PER_DECADE)) for limit in (begin, begin + width)]
        body.append(_said(x(begin), x(begin + width), " to ".join(limits), said))
    return _chart(body, title)


def _medians(medians: Sequence[float | None], labels: Sequence[str], x: Callable[[float], float]) -> Iterable[Markup]:
    """A line at the median of each of two versions, with its value on the side that has room."""
    known = [(number, value) for number, value in enumerate(medians) if value is not None and value > 0]
    if len(medians) > 2:
        return
    shown = [(number, value, place) for number, value in known if 0 <= (place := x(value)) <= 100]
    if not shown:
        return
    places = [place for _, _, place in shown]
    sides = [place > _RIGHT or (place < max(places) and place > _LEFT) for place in places]
    # Two on one side would cover each other.
    lowered = places.index(min(places)) if len(set(sides)) < len(sides) else None
    for order, ((number, value, place), is_left) in enumerate(zip(shown, sides, strict=True)):
        y = 24 if order == lowered else 10
        yield Markup(
            '<line class="median c{colour}" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="{height}"/>'
            '<text class="halo" x="{x:.2f}%" y="{y}" dx="{dx}"{anchor}>{label} median {text}</text>'
        ).format(
            colour=number % COLOURS,
            x=place,
            y=y,
            height=_HEIGHT,
            dx=-6 if is_left else 6,
            anchor=Markup(' text-anchor="end"') if is_left else "",
            label=clean(labels[number].split(" ")[0]),
            text=formatting.milliseconds(value),
        )


def _without_outliers(bins: Mapping[int, int]) -> Mapping[int, int]:
    """The bins without those at either end that have less than one in five hundred together."""
    left = sum(bins.values()) / 500
    kept = dict(sorted(bins.items()))
    for order in (sorted(kept), sorted(kept, reverse=True)):
        beyond = 0
        for place in order:
            beyond += kept[place]
            if beyond >= left:
                break
            del kept[place]
    return kept


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
    return Markup('<rect class="said" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"><title>{}</title></rect>').format(
        left, right - left, _HEIGHT, text
    )


def _chart(body: Sequence[Markup], title: str) -> Markup:
    return Markup('<svg class="plot chart" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _HEIGHT + _BELOW, clean(title), Markup("").join(body)
    )


def _stretched(curves: Sequence[Markup]) -> Markup:
    """Curves over the whole width, whatever that is; they are drawn on one of 100."""
    return Markup('<svg width="100%" height="{0}" viewBox="0 0 100 {0}" preserveAspectRatio="none">{1}</svg>').format(
        _HEIGHT, Markup("").join(curves)
    )


def _level(y: float, label: str) -> Markup:
    """A line, and above it how high it is."""
    return Markup(
        '<line class="grid" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/><text class="level halo" y="{}">{}</text>'
    ).format(f"{y - 4:.1f}", _IDLE_ZEROS.sub(r"\1", label), y=y)


def _axis(labels: Iterable[tuple[float, str]]) -> Iterable[Markup]:
    """Labels below, those left out that have no room."""
    taken = -_LABEL_ROOM
    shown = 0
    for x, label in labels:
        if x - taken >= _LABEL_ROOM:
            taken = x
            shown += 1
            anchor = "start" if x < _LABEL_ROOM / 2 else "end" if x > 100 - _LABEL_ROOM / 2 else "middle"
            place = 0.0 if anchor == "start" else 100.0 if anchor == "end" else x
            # A narrow window has room for every other one.
            which = Markup(' class="hush"') if shown % 2 == 0 else ""
            yield Markup('<text x="{:.2f}%" y="{}" text-anchor="{}"{}>{}</text>').format(
                place, _HEIGHT + 17, anchor, which, escape(label)
            )


def _nice(most: float) -> float:
    """A round number that is not less."""
    if most <= 0 or not math.isfinite(most):
        return 1.0
    if most < sys.float_info.min * 10:
        # Powers of ten are not exact here, and the least of them are 0.
        return most
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in (1, 2, 2.5, 4, 5, 8, 10) if factor * power >= most * (1 - 1e-9))


def time_of(milliseconds: int, step_ms: int) -> str:
    """When a part of time begins, as precisely as its length asks for."""
    text = formatting.instant(milliseconds)
    return text[:10] if step_ms >= 86_400_000 else text[5:16]
