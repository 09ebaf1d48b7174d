# SPDX-License-Identifier: Apache-2.0
"""Which versions are deployed: what the services that still send run now.

A process says once that it runs a version, when it begins to. So a service is gone, or too quiet to tell, if it neither
said so nor had traffic for half a day. The version that a service activated last is deployed. Others are, too, if they
had traffic since then, as where traffic is split. A version that was only evaluated on a data set is not
deployed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from otel_loggedmodel.store import sampled
from otel_loggedmodel.store.chart_results import Deployment
from otel_loggedmodel.store.counted import ENVIRONMENT
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.reading import Selection
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.span_times import START

# Earlier releases repeated activations every twelve hours, and looked at them once an hour.
_STILL_SENDS: Final = timedelta(hours=13)
# Processes of one version end a little after those of the next have begun.
_CHANGING_OVER_MS: Final = 15 * 60 * 1000
_MOST_ACTIVATIONS: Final = 10_000

_Place = tuple[str, str]


@dataclass(frozen=True)
class _Used:
    """What a version did at a place: its traces, how many they stand for, and when it last showed life, in ms."""

    traces: int = 0
    weight: float = 0.0
    evaluated: int = 0
    last_ms: int = 0
    last_trace_ms: int = 0


def deployments(database: Database, scope: Scope, now: datetime | None = None) -> list[Deployment]:
    """What runs now, by service and environment, the newest first.

    Args:
        database: Where.
        scope: Which versions.
        now: The time; aware.
    """
    now = now or datetime.now(timezone.utc)
    recent = replace(scope, selection=Selection(since=now - _STILL_SENDS))
    begun = _activations(database, recent)
    used = _traffic(database, recent)
    since_ms = _since_ms(recent)
    for place, times in begun.items():
        for model_id, (_, last_ms) in times.items():
            if last_ms < since_ms:
                continue  # its traffic alone can tell
            known = used[place].get(model_id, _Used())
            used[place][model_id] = replace(known, last_ms=max(known.last_ms, last_ms))
    found = []
    for place, versions in used.items():
        # Where everything is evaluated and nothing else happens, nothing is deployed.
        serving = {model_id: one for model_id, one in versions.items() if one.traces or not one.evaluated}
        found += _deployed(place, serving, begun.get(place, {}))
    return sorted(found, key=lambda one: (one.service, one.environment, -one.since_ms, one.model_id))


def _deployed(place: _Place, versions: Mapping[str, _Used], begun: Mapping[str, tuple[int, int]]) -> list[Deployment]:
    if not versions:
        return []
    newest_ms = max((begun[model_id][0] for model_id in versions if model_id in begun), default=0)
    last_ms = max(one.last_trace_ms for one in versions.values())
    shown = {
        model_id: one
        for model_id, one in versions.items()
        if begun.get(model_id, (0, 0))[0] == newest_ms > 0
        # Its process has said since then that it goes on.
        or begun.get(model_id, (0, 0))[1] > newest_ms
        or (one.last_trace_ms > newest_ms and one.last_trace_ms >= last_ms - _CHANGING_OVER_MS)
    }
    total = sum(one.weight for one in shown.values())
    return [
        Deployment(
            model_id=model_id,
            service=place[0],
            environment=place[1],
            since_ms=begun.get(model_id, (0, 0))[0],
            last_ms=one.last_ms,
            share=one.weight / total if total else None,
        )
        for model_id, one in shown.items()
    ]


def _activations(database: Database, scope: Scope) -> dict[_Place, dict[str, tuple[int, int]]]:
    """By place and version, when a process last began to run it, and when one last said that it does."""
    scope = scope.wide
    version = scope.version
    rows = database.query(
        f"""
        SELECT model_id, service, environment, max(begun) AS begun_ms, max(last) AS last_ms
        FROM (
            SELECT toString({version.sql}) AS model_id, ServiceName AS service, {ENVIRONMENT} AS environment, SpanId,
                toUnixTimestamp64Milli(min(Timestamp)) AS begun, toUnixTimestamp64Milli(max(Timestamp)) AS last
            FROM {scope.source}
            WHERE SpanName = 'logged_model.activated' AND LoggedModelRole = 'record'
            GROUP BY model_id, service, environment, SpanId
        )
        GROUP BY model_id, service, environment
        ORDER BY begun_ms DESC LIMIT {_MOST_ACTIVATIONS}""",
        version.parameters,
    )
    found: dict[_Place, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        found[row["service"], row["environment"]][row["model_id"]] = (row["begun_ms"], row["last_ms"])
    return found


def _traffic(database: Database, scope: Scope) -> dict[_Place, dict[str, _Used]]:
    version, spans, entry = scope.version, scope.spans, scope.entry
    is_evaluated = "LoggedModelDataset != ''"
    weight = sampled.looked_at(database, scope).weight
    rows: Sequence[Mapping[str, Any]] = database.query(
        f"""
        SELECT toString({version.sql}) AS model_id, ServiceName AS service, LoggedModelEnvironment AS environment,
            countIf(NOT ({is_evaluated})) AS served,
            sumIf({weight}, NOT ({is_evaluated})) AS weight, countIf({is_evaluated}) AS evaluated,
            intDiv(maxIf({START}, NOT ({is_evaluated})), 1000000) AS last_ms
        FROM {scope.source} WHERE {spans.sql} AND {entry.sql}
        GROUP BY model_id, service, environment""",
        {**version.parameters, **spans.parameters, **entry.parameters},
    )
    found: dict[_Place, dict[str, _Used]] = defaultdict(dict)
    for row in rows:
        last_ms = row["last_ms"] if row["served"] else 0
        found[row["service"], row["environment"]][row["model_id"]] = _Used(
            row["served"], row["weight"], row["evaluated"], last_ms, last_ms
        )
    return found


def _since_ms(scope: Scope) -> int:
    since = scope.selection.since
    return 0 if since is None else round(since.timestamp() * 1000)
