# SPDX-License-Identifier: Apache-2.0
"""Numbers as a person reads them."""

import math

import pytest

from otel_loggedmodel.presenting import formatting


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (formatting.count, 1234567.0, "1,234,567"),
        (formatting.count, 0.0, "0"),
        (formatting.per_trace, 1234.5, "1,234"),
        (formatting.per_trace, 12.345, "12.3"),
        (formatting.milliseconds, 0.0, "0 ms"),
        (formatting.milliseconds, 0.2512, "251 µs"),
        (formatting.milliseconds, 0.99999, "1 ms"),
        (formatting.milliseconds, 812.4, "812 ms"),
        (formatting.milliseconds, 1234.5, "1,234 ms"),
        (formatting.milliseconds, 12_345.0, "12.3 s"),
        (formatting.milliseconds, 245_000.0, "4 min 5 s"),
        (formatting.milliseconds, -245_000.0, "-4 min 5 s"),
        (formatting.rate, 0.0125, "1.25 %"),
        (formatting.rate, 0.0, "0.00 %"),
        (formatting.dollars, 12.5, "$12.50"),
        (formatting.dollars, 0.012345, "$0.0123"),
        (formatting.dollars, -0.000012345, "-$0.0000123"),
        (formatting.dollars, 0.0, "$0.00"),
        (formatting.dollars, 1e-30, "$0.000000000000"),
        (formatting.score, 0.91234, "0.912"),
        (formatting.score, 1234.5, "1,234"),
        (formatting.short_rate, 0.0125, "1.2 %"),
        (formatting.whole_rate, 0.5, "50 %"),
        (formatting.dollars_per_thousand, 0.00103, "$1.03"),
        (formatting.dollars_per_thousand, 0.000000154, "< $0.01"),
        (formatting.dollars_per_thousand, 0.0, "$0.00"),
        (formatting.dollars_per_thousand, -0.012, "-$12.00"),
        (formatting.dollars_per_thousand, 12.0, "$12,000"),
        (formatting.points, 0.0125, "+1.25 pp"),
        (formatting.change, 1.125, "+12.5 %"),
        (formatting.change, 0.8, "-20.0 %"),
        (formatting.change, 2.184, "+118 %"),
        (formatting.change, 12.5, "x 12.5"),
        (formatting.change, 12_500.0, "x 12,500"),
        (formatting.p_value, 0.0132, "0.013"),
        (formatting.p_value, 1e-9, "<0.001"),
        (formatting.instant, 1_767_272_405_123.0, "2026-01-01 13:00:05Z"),
        (formatting.instant, 1e300, f"{1e300:.0f} ms"),
    ],
)
def test_values_are_written(write, value: float, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize(
    "write",
    [
        *(formatting.count, formatting.per_trace, formatting.milliseconds, formatting.rate, formatting.dollars),
        *(formatting.score, formatting.points, formatting.change, formatting.p_value),
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_absent_is_not_zero(write, value: float | None) -> None:
    assert write(value) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (8 * 60, "8 min ago"),
        (59.7 * 60, "1 h ago"),
        (23 * 3600, "23 h ago"),
        (72 * 3600, "3 days ago"),
        (400 * 86_400, "2024-11-27"),
        (-3600, "2026-01-01"),
    ],
)
def test_how_long_ago_something_was(seconds: float, text: str) -> None:
    now_ms = 1_767_272_405_123.0
    assert formatting.ago(now_ms - seconds * 1000, now_ms) == text
    assert formatting.ago(None, now_ms) == "-"
