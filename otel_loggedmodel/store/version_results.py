# SPDX-License-Identifier: Apache-2.0
"""What readers get of a version: what it is, its use, its history. What `results` says of its values holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_loggedmodel.store.results import VersionMetrics


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version and how much it was used.

    Attributes:
        model_id: Its id.
        name: Its name; None where only its id is known.
        registered: Whether a record of its creation was received. Otherwise it is known from its spans alone.
        deleted: Whether it was deleted.
        experiment_id: Its experiment.
        model_type: Its type.
        source_run_id: The run that made it.
        status: `PENDING`, `READY`, `FAILED` or `FAILED_REGISTRATION`.
        creation_timestamp: In ms; 0 where not known.
        last_updated_timestamp: In ms; 0 where not known.
        params: What it is made of.
        tags: What is said of it.
        traces: How many there are in the time that was asked for.
        errors: How many of them failed.
        error_rate: Between 0 and 1; None without traces. Each trace counts as often as its sampler says.
        p95_ms: 95th percentile of their latency in ms, likewise; None without traces.
        first_seen_ms: Start of its first entry span in that time, in ms; None without traces.
        last_seen_ms: Start of its last entry span in that time, in ms; None without traces.
        services: Where it was seen or activated, sorted.
        references: Other ids whose spans were counted, as they name this version.
    """

    model_id: str
    name: str | None = None
    registered: bool = True
    deleted: bool = False
    experiment_id: str = "0"
    model_type: str | None = None
    source_run_id: str | None = None
    status: str = "READY"
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    traces: int = 0
    errors: int = 0
    error_rate: float | None = None
    p95_ms: float | None = None
    first_seen_ms: int | None = None
    last_seen_ms: int | None = None
    services: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One event in the life of a version.

    Attributes:
        kind: `created`, `updated`, `activated` or `deleted`.
        time_ms: When.
        service: `service.name` of the process.
        resource: The resource attributes of the process.
        params: What was added.
        tags: What was set.
        tags_deleted: What was removed.
        status: What it became.
    """

    kind: str
    time_ms: int
    service: str = ""
    resource: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tags_deleted: tuple[str, ...] = ()
    status: str | None = None


@dataclass(frozen=True, kw_only=True)
class VersionDetail:
    """One version: what it is made of, how it does, what happened to it (newest last).

    Attributes:
        version: What it is made of.
        metrics: How it does.
        history: What happened to it.
        previous: Id of the version that was before it, as that of `Activity`.
    """

    version: Version
    metrics: VersionMetrics
    history: tuple[HistoryEntry, ...] = ()
    previous: str | None = None
