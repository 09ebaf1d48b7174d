# SPDX-License-Identifier: Apache-2.0
"""The first page: which versions there are, by name, and which of them are live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.presenting import misuse
from otel_loggedmodel.store.chart_results import Activities, Activity
from otel_loggedmodel.store.numbering import Numbering
from otel_loggedmodel.store.results import Version
from otel_loggedmodel.versions.checkout import BRANCH_TAG, COMMIT_TAG

# How many versions a page has.
MOST_SHOWN: Final = 25
LIVE_MS: Final = 15 * 60 * 1000
_MOST_CHANGES: Final = 3
_SHOWN_CHARACTERS: Final = 24


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which versions to list.

    Attributes:
        text: In the name or at the beginning of the id.
        name: The name.
        tag: As `key=value`, or a key.
        deleted: Whether deleted ones, too.
        page: Which part of the list, from 1 on.
    """

    text: str = ""
    name: str | None = None
    tag: str = ""
    deleted: bool = False
    page: int = 1

    def admits(self, version: Version) -> bool:
        """Whether a version is to be listed."""
        text = self.text.casefold()
        key, equals, value = self.tag.partition("=")
        return (
            (not text or text in (version.name or "").casefold() or version.model_id.casefold().startswith(text))
            and (self.name is None or version.name == self.name)
            and (not self.tag or (key in version.tags and (not equals or version.tags[key] == value)))
        )


@dataclass(frozen=True)
class Shown:
    """A version in the list.

    Attributes:
        version: The version.
        previous: The one that was before it: of its name, else of the name that differs in a lower number alone.
        changes: What of its params is not as it was in that one.
        is_live: Whether it has traces now.
    """

    version: Version
    previous: Version | None
    changes: tuple[str, ...]
    is_live: bool


@dataclass(frozen=True)
class Listing:
    """The list.

    Attributes:
        groups: By name, that of the version used last first; the versions of a name, newest first.
        live: Those that have traces now, of all pages.
        count: How many versions there are on all pages.
        page: Which page this is.
        pages: How many there are.
        services: Of all versions.
    """

    groups: Sequence[tuple[str | None, Sequence[Shown]]]
    live: Sequence[Shown]
    count: int
    page: int
    pages: int
    services: Sequence[str]

    @property
    def model_ids(self) -> list[str]:
        """The versions of this page."""
        return [shown.version.model_id for _, group in self.groups for shown in group]


def listed(versions: Sequence[Version], which: Filter, now_ms: int) -> Listing:
    """The part of the list that is shown.

    Args:
        versions: All that there are, whether deleted or not.
        which: Which to show.
        now_ms: The time, in ms since the epoch.
    """
    by_name: dict[str | None, list[Version]] = {}
    for version in versions:
        by_name.setdefault(version.name, []).append(version)
    everything: list[tuple[str | None, Shown]] = []
    numbering = Numbering(name for name in by_name if name is not None)
    for group in by_name.values():
        group.sort(key=_made_ms, reverse=True)
    for name, group in by_name.items():
        for place, version in enumerate(group):
            if (which.deleted or not version.deleted) and which.admits(version):
                earlier = None
                if name is not None:
                    before = (by_name[other][0] for other in numbering.before(name))
                    earlier = next(chain(group[place + 1 :], before), None)
                is_live = now_ms - (version.last_seen_ms or 0) < LIVE_MS
                everything.append((name, Shown(version, earlier, _changes(version, earlier), is_live)))
    pages = max(1, -(-len(everything) // MOST_SHOWN))
    page = min(which.page, pages)
    groups: list[tuple[str | None, list[Shown]]] = []
    for name, shown in everything[(page - 1) * MOST_SHOWN : page * MOST_SHOWN]:
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        groups[-1][1].append(shown)
    return Listing(
        groups=groups,
        live=[shown for _, shown in everything if shown.is_live],
        count=len(everything),
        page=page,
        pages=pages,
        services=sorted({service for version in versions for service in version.services}),
    )


def values(listing: Listing, activities: Activities, which: Filter, chosen: Chosen, now_ms: int) -> Mapping[str, Any]:
    """What the template shows."""
    # A process that has just begun to run a version says so before it has any traffic.
    activated = {
        activity.model_id
        for activity in activities.versions
        if activity.activations and now_ms - activity.activations[-1].time_ms < LIVE_MS
    }
    shown = [one for _, group in listing.groups for one in group]
    live = [*listing.live, *(one for one in shown if not one.is_live and one.version.model_id in activated)]
    return {
        "listing": listing,
        "live": live,
        "live_ids": {one.version.model_id for one in live},
        "activities": {activity.model_id: activity for activity in activities.versions},
        "trends": {activity.model_id: Trends(activity, activities) for activity in activities.versions},
        "hint": misuse.hint([activity.total.traces for activity in activities.versions]),
        "which": which,
        "chosen": chosen,
        "links": Links(chosen),
        "commit_tag": COMMIT_TAG,
        "branch_tag": BRANCH_TAG,
    }


class Trends:
    """Each number of a version as it was in each part of the time."""

    def __init__(self, activity: Activity, activities: Activities) -> None:
        by_place = {(point.start_ms - activities.start_ms) // activities.step_ms: point for point in activity.points}
        self._points = [by_place.get(place) for place in range(activities.parts)]

    @property
    def traces(self) -> list[float | None]:
        """How many traces; none is 0."""
        return [float(point.traces) if point else 0.0 for point in self._points]

    @property
    def error_rate(self) -> list[float | None]:
        """Between 0 and 1."""
        return [point.errors / point.traces if point and point.traces else None for point in self._points]

    @property
    def p50_ms(self) -> list[float | None]:
        """Median latency."""
        return self._each("p50_ms")

    @property
    def p95_ms(self) -> list[float | None]:
        """95th percentile of latency."""
        return self._each("p95_ms")

    @property
    def tokens(self) -> list[float | None]:
        """Tokens in and out for each trace."""
        return self._each("tokens_per_trace")

    @property
    def cost(self) -> list[float | None]:
        """US dollars for each trace."""
        return self._each("cost_usd_per_trace")

    def _each(self, name: str) -> list[float | None]:
        return [None if point is None else getattr(point, name) for point in self._points]


def _made_ms(version: Version) -> tuple[int, int, str]:
    return (version.creation_timestamp or version.first_seen_ms or 0, version.last_seen_ms or 0, version.model_id)


def _changes(version: Version, earlier: Version | None) -> tuple[str, ...]:
    if earlier is None:
        return ()
    keys = sorted({*version.params, *earlier.params})
    changed = [
        _change(key, earlier.params.get(key), version.params.get(key))
        for key in keys
        if version.params.get(key) != earlier.params.get(key)
    ]
    if version.tags.get(COMMIT_TAG) != earlier.tags.get(COMMIT_TAG) and COMMIT_TAG in version.tags:
        changed.append(f"commit {version.tags[COMMIT_TAG][:10]}")
    more = len(changed) - _MOST_CHANGES
    return tuple(changed[:_MOST_CHANGES]) + ((f"and {more} more",) if more > 0 else ())


def _change(key: str, before: str | None, after: str | None) -> str:
    key = key if len(key) <= _SHOWN_CHARACTERS else key[: _SHOWN_CHARACTERS - 1] + "…"
    if before is None or after is None:
        return f"{key} {'added' if before is None else 'removed'}"
    # The beginning of a long text, such as a prompt, does not show what changed in it.
    is_short = max(len(before), len(after)) <= _SHOWN_CHARACTERS
    return f"{key}: {before} → {after}" if is_short else f"{key} changed"
