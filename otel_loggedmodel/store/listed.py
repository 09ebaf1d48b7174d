# SPDX-License-Identifier: Apache-2.0
"""Versions as lists show them: which ones, in what order, and what is told of each."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_loggedmodel.store.catalogue import Catalogue
from otel_loggedmodel.store.reading import VersionFilter
from otel_loggedmodel.store.version_results import Version


def references(known: Catalogue, model_id: str, seen: Collection[str]) -> list[str]:
    """The ids on spans that stand for a version at some time."""
    return sorted(alias for alias in known.references.get(model_id, ()) if alias in seen)


def newest(
    known: Catalogue,
    last_seen: Mapping[str, int],
    which: VersionFilter,
    called: Collection[str],
    *,
    has_all: bool,
    since_ms: int = 0,
) -> list[str]:
    """The ids of the versions to list, newest first.

    Args:
        known: The versions that there are records of.
        last_seen: When the last entry span of each began, in ns since the epoch.
        which: Which are wanted.
        called: The ids that have the wanted name on spans alone.
        has_all: Whether versions without spans are wanted, too.
        since_ms: If `last_seen` lacks versions, when the last of those was used at most; in ms since the epoch.
    """
    # A reference by name without spans is no version of its own.
    unused = (
        one
        for one, folded in known.models.items()
        if one not in last_seen and one not in known.standing_for and folded.model.creation_timestamp >= since_ms
    )
    wanted = (one for one in (*last_seen, *(unused if has_all else ())) if _is_wanted(known, one, which, called))
    return heapq.nsmallest(which.limit, wanted, key=lambda one: (-age_ms(known, last_seen, one), one))


def age_ms(known: Catalogue, last_seen: Mapping[str, int], model_id: str) -> int:
    """When a version was used or made last, in ms since the epoch; `known` and `last_seen` as `newest` has them."""
    folded = known.models.get(model_id)
    created = 0 if folded is None else folded.model.creation_timestamp
    return max(last_seen.get(model_id, 0) // 1_000_000, created)


def versions(
    known: Catalogue,
    model_ids: Sequence[str],
    used: Mapping[str, Mapping[str, Any]],
    seen_when: Mapping[str, Mapping[str, Any]],
    seen: Collection[str],
) -> list[Version]:
    """Versions as lists have them.

    Args:
        known: The versions that there are records of.
        model_ids: Their ids.
        used: How much each was used, by its id.
        seen_when: When and where.
        seen: The ids that spans have.
    """
    found = []
    for model_id in model_ids:
        services = seen_when[model_id]["services"] if model_id in seen_when else ()
        found.append(version(known, model_id, used.get(model_id), services, seen))
    return found


def version(
    known: Catalogue,
    model_id: str,
    used: Mapping[str, Any] | None,
    services: Sequence[str],
    seen: Collection[str],
) -> Version:
    """A version as lists have it.

    Args:
        known: The versions that there are records of.
        model_id: Its id.
        used: How much it was used and when, if it was.
        services: Where.
        seen: The ids that spans have.
    """
    folded = known.models.get(model_id)
    found = Version(
        model_id=model_id,
        registered=known.is_registered(model_id),
        services=tuple(services),
        references=tuple(references(known, model_id, seen)),
    )
    if folded is not None:
        model = folded.model
        found = replace(
            found,
            name=model.name,
            deleted=folded.deleted,
            experiment_id=model.experiment_id,
            model_type=model.model_type,
            source_run_id=model.source_run_id,
            status=str(model.status),
            creation_timestamp=model.creation_timestamp,
            last_updated_timestamp=model.last_updated_timestamp,
            params=dict(model.params),
            tags=dict(model.tags),
        )
    if used is not None:
        counted = (
            {
                "traces": used["traces"],
                "errors": used["errors"],
                "error_rate": used["error_rate"],
                "p95_ms": used["p95"],
            }
            if "p95" in used
            else {}
        )
        found = replace(
            found,
            **counted,
            first_seen_ms=used["first_ns"] // 1_000_000,
            last_seen_ms=used["last_ns"] // 1_000_000,
        )
    return found


def _is_wanted(known: Catalogue, model_id: str, which: VersionFilter, called: Collection[str]) -> bool:
    folded = known.models.get(model_id)
    if folded is None:
        return (which.name is None or model_id in called) and not which.tags and not which.params
    model = folded.model
    return (
        (which.deleted or not folded.deleted)
        and (which.name is None or model.name == which.name)
        and which.tags.items() <= model.tags.items()
        and which.params.items() <= model.params.items()
    )
