# SPDX-License-Identifier: Apache-2.0
"""Numbers and times as a person reads them. JSON output has them unrounded."""

import math
from datetime import datetime, timezone
from typing import Final

ABSENT: Final = "-"


def count(value: float | None) -> str:
    """`12,345`."""
    return _or_absent(value) or f"{value:,.0f}"


def size(number: int) -> str:
    """Bytes: `812 B`, `1.6 MB`."""
    amount = float(number)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def traces(number: int) -> str:
    """`1 trace`, `12,345 traces`."""
    return number_of(number, "trace")


def number_of(number: int, what: str) -> str:
    """`1 trace`, `12,345 traces`, of whatever has a regular plural."""
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"


def per_trace(value: float | None) -> str:
    """A number of tokens for each trace: `1,234`, or `12.3` where it is small."""
    return _or_absent(value) or (f"{value:,.0f}" if abs(value or 0) >= 100 else f"{value:.3g}")


def milliseconds(value: float | None) -> str:
    """`46 µs`, `812 ms`, `12.3 s`, `4 min 5 s`."""
    absent = _or_absent(value)
    if absent or value is None:
        return absent
    size = abs(value)
    if 0 < size < 0.9995:
        return f"{value * 1000:.3g} µs"
    if size < 100:
        return f"{value:.3g} ms"
    if size < 9_999.5:
        return f"{value:,.0f} ms"
    if size < 99_950:
        return f"{value / 1000:.1f} s"
    minutes, seconds = divmod(round(size / 1000), 60)
    return f"{'-' if value < 0 else ''}{minutes:,} min {seconds} s"


def duration(seconds: float) -> str:
    """A long time: `40 min`, `3 h`, `12 days`."""
    if seconds < 5400:
        return f"{max(round(seconds / 60), 1)} min"
    return f"{round(seconds / 3600)} h" if seconds < 172_800 else f"{round(seconds / 86_400):,} days"


def rate(value: float | None) -> str:
    """A part of one in percent: `1.25 %`."""
    return _or_absent(value) or f"{(value or 0) * 100:.2f} %"


def short_rate(value: float | None) -> str:
    """The same with one decimal, for lists: `1.3 %`."""
    return _or_absent(value) or f"{(value or 0) * 100:.1f} %"


def whole_rate(value: float | None) -> str:
    """The same without decimals: `50 %`."""
    return _or_absent(value) or f"{(value or 0) * 100:.0f} %"


def dollars(value: float | None) -> str:
    """`$12.50`, or three significant digits where it is less than one."""
    absent = _or_absent(value)
    if absent or value is None:
        return absent
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size >= 0.995 or size == 0:
        return f"{sign}${size:,.2f}"
    decimals = min(2 - math.floor(math.log10(size)), 12)
    return f"{sign}${size:.{decimals}f}"


def dollars_per_thousand(value: float | None) -> str:
    """What a thousand cost, from what one does: `$1.03`, `$0.07`, or `< $0.01`.

    Args:
        value: US dollars for one.
    """
    absent = _or_absent(value)
    if absent or value is None:
        return absent
    size = abs(value) * 1000
    if 0 < size < 0.005:
        return "< $0.01"
    decimals = 0 if size >= 9_999.5 else 2
    return f"{'-' if value < 0 else ''}${size:,.{decimals}f}"


def score(value: float | None) -> str:
    """An evaluation's mean, with three significant digits."""
    return _or_absent(value) or (f"{value:.3g}" if abs(value or 0) < 999.5 else f"{value:,.0f}")


def roughly(value: float) -> str:
    """A positive number of which the size matters: two digits, and from ten on whole."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def points(value: float | None) -> str:
    """A difference of rates in percentage points: `+1.25 pp`."""
    return _or_absent(value) or f"{(value or 0) * 100:+.2f} pp"


def change(ratio: float | None) -> str:
    """How a ratio reads as a change: `+12.5 %`, or `x 12.5` where it is many times as much."""
    absent = _or_absent(ratio)
    if absent or ratio is None:
        return absent
    if ratio >= 10:
        return f"x {ratio:,.3g}" if ratio < 1000 else f"x {ratio:,.0f}"
    percent = (ratio - 1) * 100
    return f"{percent:+.1f} %" if abs(percent) < 99.95 else f"{percent:+.0f} %"


def p_value(value: float | None) -> str:
    """`0.013`, or `<0.001`."""
    return _or_absent(value) or ("<0.001" if (value or 0) < 0.001 else f"{value:.2g}")


def instant(milliseconds_since_epoch: float | None) -> str:
    """A time in UTC: `2026-03-01 12:30:05Z`."""
    if not milliseconds_since_epoch:
        return ABSENT
    try:
        moment = datetime.fromtimestamp(milliseconds_since_epoch / 1000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        # A sender's clock can say anything.
        return f"{milliseconds_since_epoch:.0f} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def ago(milliseconds_since_epoch: float | None, now_ms: float) -> str:
    """How long ago something was: `just now`, `8 min ago`, `23 h ago`, `3 days ago`; of an older one its date.

    Args:
        milliseconds_since_epoch: When it was.
        now_ms: The time now, in ms since the epoch.
    """
    if not milliseconds_since_epoch:
        return ABSENT
    minutes = (now_ms - milliseconds_since_epoch) / 60_000
    if not math.isfinite(minutes) or minutes < -5 or minutes >= 60 * 24 * 31:
        return instant(milliseconds_since_epoch)[:10]
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes:.0f} min ago" if minutes < 59.5 else "1 h ago"
    hours = round(minutes / 60)
    return f"{hours} h ago" if hours < 48 else f"{round(hours / 24)} days ago"


def _or_absent(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else ""
