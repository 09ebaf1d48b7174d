# SPDX-License-Identifier: Apache-2.0
"""Charts are well-formed, show every value, and hold whatever is called how."""

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_loggedmodel.pages import charts, comparison, figures
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.behaving import BINS_PER_DECADE
from otel_loggedmodel.store.results import Verdict

_VALUES = st.lists(st.none() | st.floats(0, 1e12), max_size=60)


def any_known(values: Iterable[float | None]) -> bool:
    return any(value is not None for value in values)


def numbers_of_height(path: str) -> list[float]:
    """The second of each pair of numbers."""
    return [float(pair.split()[1]) for pair in path.replace("L", "M").replace("h0.1", "").split("M") if pair]


def per_cent(element: ET.Element, name: str) -> float:
    return float((element.get(name) or "").removesuffix("%"))


def numbers_of(path: str) -> list[float]:
    return [float(number) for number in path.replace("M", " ").replace("L", " ").replace("h", " ").split()]


@given(_VALUES, st.text())
def test_a_sparkline_stays_within_its_frame(values: list[float | None], label: str) -> None:
    drawn = figures.sparkline(values, label, formatting.count)
    if sum(value is not None for value in values) < 2:
        assert drawn == ""
        return
    numbers = numbers_of(ET.fromstring(drawn)[1].get("d") or "")
    assert all(math.isfinite(number) and 0 <= number <= 88.1 for number in numbers)
    assert all(0 <= number <= 22 for number in numbers_of_height(ET.fromstring(drawn)[1].get("d") or ""))


def test_a_gap_is_not_drawn_over() -> None:
    path = ET.fromstring(figures.sparkline([1, 2, None, 3, 4], "", formatting.count))[1].get("d") or ""
    assert path.count("M") == 2


def test_a_sparkline_begins_and_ends_with_what_is_known() -> None:
    alone = figures.sparkline([1, 2, 1], "", formatting.count)
    assert figures.sparkline([None, None, 1, 2, 1, None], "", formatting.count) == alone


def test_a_sparkline_says_its_values_to_everybody() -> None:
    svg = ET.fromstring(figures.sparkline([3, None, 1, 2], "Trend of traces", formatting.count))
    assert svg.get("aria-label") == svg[0].text == "Trend of traces: 1 to 3, last 2"


@given(st.lists(_VALUES, min_size=1, max_size=4), st.text())
@example([[5e-324]], "")
@example([[1.7e308, 1.0]], "")
def test_every_value_over_time_has_a_point_that_says_it(lines: list[list[float | None]], label: str) -> None:
    longest = max(len(line) for line in lines)
    series = [charts.Series(label, [*line, *[None] * (longest - len(line))]) for line in lines]
    chart = charts.over_time(series, 0, 60_000, label, formatting.count)
    if longest == 0:
        assert chart == ""
        return
    svg = ET.fromstring(chart)
    dots = list(svg.iter("circle"))
    assert len(dots) == sum(value is not None for line in lines for value in line)
    assert all(0 <= per_cent(dot, "cx") <= 100 and 0 <= float(dot.get("cy", "")) <= 190 for dot in dots)
    # Wherever the mouse is in a part of time, all of its values are said.
    said = [one for one in svg.iter("rect") if one.get("class") == "said"]
    columns = [column for column in zip(*(one.values for one in series), strict=True) if any_known(column)]
    for area, column in zip(said, columns, strict=True):
        title = (area[0].text or "").split("\n")[1:]
        assert [text.rpartition(": ")[2] for text in title] == [
            formatting.count(value) for value in column if value is not None
        ]
        assert (area.get("x"), area.get("width")) != (None, None)


def test_activations_within_the_time_are_marked() -> None:
    series = [charts.Series("A", [1.0, 2.0, 3.0], marks=[-1, 0, 150_000, 180_001])]
    marks = [
        one for one in ET.fromstring(charts.over_time(series, 0, 60_000, "", str)) if one.get("class") == "mark c0"
    ]
    assert len(marks) == 2


@given(st.lists(st.dictionaries(st.integers(-60, 160), st.integers(1, 10**9)), min_size=1, max_size=3))
def test_a_distribution_is_drawn_for_each_version(bins: list[dict[int, int]]) -> None:
    chart = charts.distributions(bins, [f"<{place}>" for place in range(len(bins))], "t")
    if not any(bins):
        assert chart == ""
        return
    svg = ET.fromstring(chart)
    assert sum("area" in (one.get("class") or "") for one in svg.iter("path")) == len(bins)
    said = [(one[0].text or "").split("\n") for one in svg.iter("rect") if one.get("class") == "said"]
    assert all(len(lines) == 1 + len(bins) and " to " in lines[0] for lines in said)
    for place, one in enumerate(bins):
        total = sum(float(lines[1 + place].rpartition(": ")[2].removesuffix(" %")) for lines in said)
        assert total == pytest.approx(100 if one else 0, abs=0.01 * len(said) + 0.01)
    for one in svg.iter("path"):
        assert all(-1 <= number <= 191 for number in numbers_of(one.get("d") or ""))


_SPANS = st.builds(
    lambda low, width, delta, base, margin, higher, verdict: figures.Span(
        low=low,
        high=low + abs(width),
        delta=delta,
        base=base,
        margin=margin,
        higher_is_better=higher,
        verdict=verdict,
    ),
    *[st.floats(-1e9, 1e9)] * 4,
    st.floats(0, 1e9),
    st.booleans(),
    st.sampled_from(Verdict),
)


@given(_SPANS)
def test_an_interval_stays_within_the_width(span: figures.Span) -> None:
    svg = ET.fromstring(figures.interval(span, "<l>"))
    shown = [one for one in svg if one.tag == "line" and (one.get("class") or "").startswith("iv")]
    assert 0 <= per_cent(shown[0], "x1") <= per_cent(shown[0], "x2") <= 100
    assert svg.get("aria-label") == "<l>"


@pytest.mark.parametrize(
    ("base", "delta", "higher_is_better", "place"),
    [
        (100.0, 100.0, False, 50 - 38.4 * math.log10(2)),  # twice the latency is to the left
        (100.0, 100.0, True, 50 + 38.4 * math.log10(2)),  # twice the score to the right
        (100.0, -90.0, False, 88.4),  # a tenth of the cost
        (0.0, 0.0, False, 50.0),
    ],
)
def test_better_is_to_the_right_whatever_the_metric(
    base: float, delta: float, higher_is_better: bool, place: float
) -> None:
    span = figures.Span(
        low=delta,
        high=delta,
        delta=delta,
        base=base,
        margin=0.0,
        higher_is_better=higher_is_better,
        verdict=Verdict.UNKNOWN,
    )
    assert span.place(delta) == pytest.approx(place)


@pytest.mark.parametrize(("counts", "each"), [((1, 0, 2), 1), ((0, 32, 32), 1), ((33, 0, 1), 2), ((0, 5, 3200), 100)])
def test_a_dot_is_a_row_or_as_many_as_there_is_room_for(counts: tuple[int, int, int], each: int) -> None:
    assert figures.rows_of_a_dot(counts) == each
    drawn = ET.fromstring(figures.dots(counts, 1.0, "a score"))
    kinds = [one.get("class") for one in drawn.iter() if (one.get("class") or "").startswith("dot")]
    assert [kinds.count(f"dot {kind}") for kind in ("worse", "unknown", "better")] == [
        -(-one // each) for one in counts
    ]
    assert [one.text for one in drawn.iter("text")] == ["-1", "same", "+1"]


def test_an_outlier_does_not_make_a_distribution_narrow() -> None:
    around = dict.fromkeys(range(20, 30), 200)
    drawn = ET.fromstring(charts.distributions([{**around, 90: 1}], ["A"], "t"))
    said = [one for one in drawn.iter("rect") if one.get("class") == "said"]
    assert len(said) == 10
    # What is left out of the axis is counted at its end.
    assert sum(float((one[0].text or "").rpartition(": ")[2].removesuffix(" %")) for one in said) == pytest.approx(
        100, abs=0.1
    )


@pytest.mark.parametrize(
    ("most", "write", "labels"),
    [
        (0.00001, formatting.dollars, ["$0", "$0.000005", "$0.00001"]),
        (0.5, formatting.rate, ["0 %", "25 %", "50 %"]),
        (2000, formatting.milliseconds, ["0 ms", "1,000 ms", "2,000 ms"]),
        (0, formatting.count, ["0", "1"]),
    ],
)
def test_the_axis_says_round_numbers(most: float, write: Callable[[float | None], str], labels: list[str]) -> None:
    svg = ET.fromstring(charts.over_time([charts.Series("A", [most / 3, most])], 0, 60_000, "", write))
    assert [one.text for one in svg.iter("text") if "level" in (one.get("class") or "")] == labels


@pytest.mark.parametrize(
    "medians", [(1.0, 900.0), (1.0, 1.1), (500.0, 900.0), (900.0, 800.0), (3.0, 3.0), (None, 2.0), (40.0, 45.0)]
)
def test_the_values_of_medians_are_inside_the_chart_and_do_not_cover_each_other(
    medians: tuple[float | None, float],
) -> None:
    bins = {round(math.log10(value) * BINS_PER_DECADE): 10 for value in (0.9, *filter(None, medians), 1000.0)}
    svg = ET.fromstring(charts.distributions([bins, bins], ["A v1", "B v2"], "Latency", medians))
    boxes = []
    for text in (one for one in svg.iter("text") if "median" in "".join(one.itertext())):
        at, is_left = per_cent(text, "x"), text.get("text-anchor") == "end"
        # As wide as the text is in the narrowest panel.
        boxes.append((at - 32 if is_left else at, at if is_left else at + 32, text.get("y")))
    assert len(boxes) == sum(value is not None for value in medians)
    assert all(left >= 0 and right <= 100 for left, right, _ in boxes)
    for (left, right, y), (other_left, other_right, other_y) in itertools.combinations(boxes, 2):
        assert y != other_y or right <= other_left or other_right <= left


def test_notes_call_versions_by_their_names_and_show_code_as_code() -> None:
    own = "m-0f83957c11dbfd0d0051a9903326e232"
    titles = [Title(model_id=own, name="bot", label="1.4"), Title(model_id="base", name="bot", label="1.0")]
    said = f"Run of {own} on the baseline: 3 rows failed (`--failed-rows zero` counts them as 0)."
    assert comparison._note(said, titles) == [
        (False, "Run of bot 1.4 3326e232 on the baseline: 3 rows failed ("),
        (True, "--failed-rows zero"),
        (False, " counts them as 0)."),
    ]
    assert comparison._note("A ` alone", titles) == [(False, "A ` alone")]
