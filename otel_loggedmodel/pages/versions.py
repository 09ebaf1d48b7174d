# SPDX-License-Identifier: Apache-2.0
"""The first page: what is deployed now, and which versions there are, by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.presenting import misuse
from otel_loggedmodel.presenting.naming import Title, short_id
from otel_loggedmodel.presenting.texts import cut
from otel_loggedmodel.store.chart_results import Activities, Activity, Deployment
from otel_loggedmodel.store.numbering import Numbering
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.checkout import BRANCH_TAG, COMMIT_TAG

# How many versions a page has.
MOST_SHOWN: Final = 25
_MOST_DEPLOYED: Final = 20
_MOST_CHANGES: Final = 5
_SHOWN_CHARACTERS: Final = 24


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which versions to list.

    Attributes:
        text: In the name, a param, a tag, or at an end of the id.
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
            (not text or self._is_found(text, version))
            and (self.name is None or version.name == self.name)
            and (not self.tag or (key in version.tags and (not equals or version.tags[key] == value)))
        )

    def _is_found(self, text: str, version: Version) -> bool:
        model_id = version.model_id.casefold()
        pairs = (*version.params.items(), *version.tags.items())
        return (
            text in (version.name or "").casefold()
            or model_id.startswith((text, f"m-{text}"))
            or model_id.endswith(text)
            or any(text in f"{key}={value}".casefold() for key, value in pairs)
        )


@dataclass(frozen=True)
class Shown:
    """A version in the list.

    Attributes:
        version: The version.
        previous: The one that was before it: of its name, else of the name that differs in a lower number alone.
        changes: What of its params is not as it was in that one: what, and how.
    """

    version: Version
    previous: Version | None
    changes: tuple[tuple[str, str], ...]

    @property
    def title(self) -> Title:
        """What it is called."""
        return Title.of(self.version)


@dataclass(frozen=True)
class Listing:
    """The list.

    Attributes:
        groups: By name, that of the version used last first; the versions of a name, newest first.
        by_id: The versions of all pages, as they would be shown.
        count: How many versions there are on all pages.
        page: Which page this is.
        pages: How many there are.
        services: Of all versions.
    """

    groups: Sequence[tuple[str | None, Sequence[Shown]]]
    by_id: Mapping[str, Shown]
    count: int
    page: int
    pages: int
    services: Sequence[str]

    @property
    def model_ids(self) -> list[str]:
        """The versions of this page."""
        return [shown.version.model_id for _, group in self.groups for shown in group]


def listed(versions: Sequence[Version], which: Filter) -> Listing:
    """The part of the list that is shown.

    Args:
        versions: All that there are, whether deleted or not.
        which: Which to show.
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
                everything.append((name, Shown(version, earlier, _changes(version, earlier))))
    pages = max(1, -(-len(everything) // MOST_SHOWN))
    page = min(which.page, pages)
    groups: list[tuple[str | None, list[Shown]]] = []
    for name, shown in everything[(page - 1) * MOST_SHOWN : page * MOST_SHOWN]:
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        groups[-1][1].append(shown)
    return Listing(
        groups=groups,
        by_id={shown.version.model_id: shown for _, shown in everything},
        count=len(everything),
        page=page,
        pages=pages,
        services=sorted({service for version in versions for service in version.services}),
    )


@dataclass(frozen=True)
class Place:
    """A service in an environment, and what it runs.

    Attributes:
        service: `service.name`.
        environment: `deployment.environment.name`, or empty.
        versions: What it runs, the newest first, and since when and how much of the traffic.
        pair: The ids of the two versions that one would compare; None where there is only one.
    """

    service: str
    environment: str
    versions: Sequence[tuple[Deployment, Title]]
    pair: tuple[Title, Title] | None


def places_of(deployments: Sequence[Deployment], listing: Listing) -> list[Place]:
    """What runs where, of the versions that are listed."""
    by_place: dict[tuple[str, str], list[Deployment]] = {}
    for one in deployments:
        if one.model_id in listing.by_id:
            by_place.setdefault((one.service, one.environment), []).append(one)
    found = []
    for (service, environment), together in by_place.items():
        shown = [(one, listing.by_id[one.model_id].title) for one in together]
        found.append(Place(service, environment, shown, _pair(shown, listing)))
    return found[:_MOST_DEPLOYED]


def _pair(shown: Sequence[tuple[Deployment, Title]], listing: Listing) -> tuple[Title, Title] | None:
    """The older of two that run side by side, or the one before the only one; then the newest."""
    newest = listing.by_id[shown[0][0].model_id]
    if len(shown) > 1:
        # Of two that were made at once, the one that serves users is what the other is held against.
        first, second = shown[0][1], shown[1][1]
        return (first, second) if first.is_serving and not second.is_serving else (second, first)
    return None if newest.previous is None else (Title.of(newest.previous), newest.title)


def values(
    listing: Listing,
    activities: Activities,
    places: Sequence[Place],
    which: Filter,
    chosen: Chosen,
) -> Mapping[str, Any]:
    """What the template shows."""
    by_id = {activity.model_id: activity for activity in activities.versions}
    return {
        "listing": listing,
        "places": places,
        "deployed_ids": {one.model_id for place in places for one, _ in place.versions},
        "activities": by_id,
        "lead_scores": {(place.service, place.environment): _lead_score(place, by_id) for place in places},
        "trends": {model_id: Trends(activity, activities) for model_id, activity in by_id.items()},
        "hint": misuse.hint([activity.total.traces for activity in activities.versions]),
        "which": which,
        "chosen": chosen,
        "links": Links(chosen),
        "commit_tag": COMMIT_TAG,
        "branch_tag": BRANCH_TAG,
        "short_id": short_id,
    }


def _lead_score(place: Place, activities: Mapping[str, Activity]) -> str:
    """The one score that has a column: the one that most of the versions have, then of which there is most.

    What one person has said of one answer thus takes no place from an evaluation.
    """
    found = [
        (name, score.count)
        for deployment, _ in place.versions
        if deployment.model_id in activities
        for name, score in activities[deployment.model_id].scores.items()
        if score.count
    ]
    had, said = Counter(name for name, _ in found), Counter[str]()
    for name, count in found:
        said[name] += count
    return min(had, key=lambda name: (-had[name], -said[name], name), default="")


class Trends:
    """Each number of a version as it was in each part of the time."""

    def __init__(self, activity: Activity, activities: Activities) -> None:
        by_place = {(point.start_ms - activities.start_ms) // activities.step_ms: point for point in activity.points}
        self._points = [by_place.get(place) for place in range(activities.parts)]

        self.life_p50_ms: list[float | None] = [point.p50_ms for point in activity.life]

    @property
    def traces(self) -> list[float | None]:
        """How many traces; none is 0."""
        return [float(point.traces) if point else 0.0 for point in self._points]

    @property
    def error_rate(self) -> list[float | None]:
        """Between 0 and 1."""
        return self._each("error_rate")

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


def _changes(version: Version, earlier: Version | None) -> tuple[tuple[str, str], ...]:
    if earlier is None:
        return ()
    keys = sorted({*version.params, *earlier.params})
    changed = [
        _change(key, earlier.params.get(key), version.params.get(key))
        for key in keys
        if version.params.get(key) != earlier.params.get(key)
    ]
    if version.tags.get(COMMIT_TAG) != earlier.tags.get(COMMIT_TAG) and COMMIT_TAG in version.tags:
        changed.append(("commit", version.tags[COMMIT_TAG][:10]))
    more = len(changed) - _MOST_CHANGES
    return tuple(changed[:_MOST_CHANGES]) + ((("and", f"{more} more"),) if more > 0 else ())


def _change(key: str, before: str | None, after: str | None) -> tuple[str, str]:
    key = cut(key, _SHOWN_CHARACTERS)
    if before is None or after is None:
        return key, "added" if before is None else "removed"
    # The beginning of a long text, such as a prompt, does not show what changed in it.
    is_short = max(len(before), len(after)) <= _SHOWN_CHARACTERS
    return key, f"{before} → {after}" if is_short else "changed"
