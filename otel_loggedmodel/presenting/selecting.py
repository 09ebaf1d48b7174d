# SPDX-License-Identifier: Apache-2.0
"""What options say about which traces count: times, services, attributes."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.reading import EVERYTHING, MOST_TRIES, Selection

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_TIMESTAMP: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d+))?(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?"
)
TIME_HELP: Final = (
    "write 7d, 24h or 30m for so long ago, a date (2026-03-01) or an RFC 3339 time (2026-03-01T12:00:00+01:00);"
    " in UTC, where it says no offset"
)


def parse_time(text: str, now: datetime) -> datetime:
    """A point in time: a duration before `now`, a date, or an RFC 3339 time; in UTC unless it says otherwise.

    Raises:
        ValueError: It is none of these; the text says what to write.
    """
    stripped = text.strip()
    try:
        if _DURATION.fullmatch(stripped):
            parts = _DURATION_PART.findall(stripped)
            return now - timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
        match = _TIMESTAMP.fullmatch(stripped)
        if match is not None:
            return _timestamp(match)
    except (OverflowError, ValueError):
        pass
    raise ValueError(f"{clean(text)!r} is no time: {TIME_HELP}")


def parse_pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`; the value may hold further equals signs.

    Raises:
        ValueError: There is no key or no equals sign.
    """
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise ValueError(f"{clean(text)!r} is no pair: write KEY=VALUE")
    return key, value


def selection_of(
    since: str | None,
    until: str | None,
    service: str | None,
    attributes: Sequence[str],
    now: datetime | None = None,
    *,
    dataset: str | None = None,
    production: bool = False,
    prompt: str | None = None,
    agent: str | None = None,
    by: str | None = None,
    runs: str = EVERYTHING.runs,
    failed_rows: str = EVERYTHING.failed_rows,
    pass_at: int | None = None,
) -> Selection:
    """The selection that options describe.

    Raises:
        ValueError: One of them cannot be understood, no time is left between `since` and `until`, or nothing else.
    """
    now = now or datetime.now(timezone.utc)
    begin = None if since is None else parse_time(since, now)
    end = None if until is None else parse_time(until, now)
    if begin is not None and end is not None and begin >= end:
        raise ValueError(f"--since {clean(since or '')} is not before --until {clean(until or '')}: nothing can match")
    if runs not in ("latest", "all"):
        raise ValueError(f"--runs is {clean(runs)!r}: write latest or all")
    if failed_rows not in ("skip", "zero"):
        raise ValueError(
            f"--failed-rows is {clean(failed_rows)!r}: write skip to leave them out, or zero to count each as 0"
        )
    if pass_at is not None and not 1 <= pass_at <= MOST_TRIES:
        raise ValueError(f"--pass-at is {pass_at}: write of how many tries one has to pass, from 1 to {MOST_TRIES}")
    if dataset is not None and production:
        raise ValueError("--dataset and --production exclude each other: production is what is of no data set")
    return Selection(
        since=begin,
        until=end,
        service=service,
        attributes=dict(map(parse_pair, attributes)),
        dataset=dataset,
        production=production,
        prompt=None if prompt is None else prompt_of(prompt),
        agent=agent,
        by=by or None,
        runs=runs,
        failed_rows=failed_rows,
        pass_at=pass_at,
    )


def prompt_of(text: str) -> str:
    """A prompt as `Selection` has it: `NAME@VERSION` has the version after a line feed."""
    name, at, version = text.rpartition("@")
    return f"{name}\n{version}" if at and name else text


def _timestamp(match: re.Match[str]) -> datetime:
    # datetime.fromisoformat reads neither `Z` nor fractions of any length before Python 3.11.
    moment = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00:00'}")
    if match["fraction"]:
        moment += timedelta(microseconds=int(match["fraction"][:6].ljust(6, "0")))
    zone = match["zone"]
    if zone is None or zone in "Zz":
        return moment.replace(tzinfo=timezone.utc)
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))
