# SPDX-License-Identifier: Apache-2.0
"""What the spans that arrived say about each version. Nothing here looks into the application."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from otel_loggedmodel import LoggedModel
from otel_loggedmodel.records import event_of, fold
from otlp_receiver import ReceivedSpan


@dataclass(frozen=True)
class AuditEntry:
    """One line of a version's own trace.

    Attributes:
        what: The event, and what it changed.
        pids: The processes that told of it. Copies of one event are one span, whoever sends it.
    """

    time_ns: int
    what: str
    pids: tuple[str, ...]


@dataclass(frozen=True)
class VersionReport:
    """One version, as the spans that arrived have it.

    Attributes:
        model: What its records come to.
        entries: The requests that it served: the server spans with its id.
        linked: How many of those link to the root span of the version's trace, which has arrived too.
        spans: How many spans the traces of those requests have.
        stamped: How many of them carry the version's id.
        audit: The version's own trace, oldest first.
    """

    model: LoggedModel
    entries: tuple[ReceivedSpan, ...]
    linked: int
    spans: int
    stamped: int
    input_tokens: int
    output_tokens: int
    audit: tuple[AuditEntry, ...]

    @property
    def release(self) -> str:
        """What people call it."""
        return self.model.tags.get("release", "?")

    @property
    def errors(self) -> int:
        """How many requests failed."""
        return sum(entry.status_code == "ERROR" for entry in self.entries)

    def latency_ms(self, quantile: float) -> float:
        """A quantile of how long requests took: the smallest time that so large a share of them did not exceed."""
        durations = sorted(entry.duration_ms for entry in self.entries)
        return durations[max(0, math.ceil(quantile * len(durations)) - 1)] if durations else math.nan


@dataclass(frozen=True)
class Report:
    """All versions, and what belongs to none.

    Attributes:
        versions: In the order of their releases.
        unversioned: Requests that no version could be told of.
    """

    versions: tuple[VersionReport, ...]
    unversioned: int

    def problems(self, sent: Mapping[str, int]) -> list[str]:
        """What is not as it should be, given how many requests went to each release."""
        found = [f"{self.unversioned} requests carry no version"] if self.unversioned else []
        arrived = {version.release: version for version in self.versions}
        for release, number in sent.items():
            version = arrived.pop(release, None)
            if version is None:
                found.append(f"no record of {release} arrived")
                continue
            if len(version.entries) != number:
                found.append(f"{release} was sent {number} requests, and {len(version.entries)} of its traces arrived")
            if version.linked != len(version.entries):
                found.append(f"{len(version.entries) - version.linked} entry spans of {release} do not link to it")
            if version.stamped != version.spans:
                found.append(f"{version.spans - version.stamped} spans of {release} do not carry its id")
        return found + [f"{release} was not expected" for release in arrived]


def report_on(spans: Sequence[ReceivedSpan]) -> Report:
    """Put together what there is on each version."""
    records = [span for span in spans if "logged_model.event" in span.attributes]
    by_trace: dict[str, list[ReceivedSpan]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    entries = [span for span in spans if span.kind == "SERVER"]
    models = fold(filter(None, (event_of(span.attributes, span.start_ns, int(span.span_id, 16)) for span in records)))
    versions = [
        _version(
            folded.model,
            [span for span in records if span.attributes["logged_model.id"] == model_id],
            [span for span in entries if span.attributes.get("logged_model.id") == model_id],
            by_trace,
        )
        for model_id, folded in models.items()
    ]
    versions.sort(key=lambda version: version.release)
    return Report(tuple(versions), len(entries) - sum(len(version.entries) for version in versions))


def _version(
    model: LoggedModel,
    records: Sequence[ReceivedSpan],
    entries: Sequence[ReceivedSpan],
    by_trace: Mapping[str, Sequence[ReceivedSpan]],
) -> VersionReport:
    roots = {(span.trace_id, span.span_id) for span in records if span.attributes["logged_model.event"] == "created"}
    work = [span for entry in entries for span in by_trace[entry.trace_id]]
    return VersionReport(
        model=model,
        entries=tuple(entries),
        linked=sum(any((link.trace_id, link.span_id) in roots for link in entry.links) for entry in entries),
        spans=len(work),
        stamped=sum(span.attributes.get("logged_model.id") == model.model_id for span in work),
        input_tokens=_sum(work, "gen_ai.usage.input_tokens"),
        output_tokens=_sum(work, "gen_ai.usage.output_tokens"),
        audit=_audit(records),
    )


def _sum(spans: Iterable[ReceivedSpan], attribute: str) -> int:
    values = (span.attributes.get(attribute) for span in spans)
    return sum(value for value in values if isinstance(value, int))


def _audit(records: Iterable[ReceivedSpan]) -> tuple[AuditEntry, ...]:
    copies: dict[str, list[ReceivedSpan]] = {}
    for record in sorted(records, key=lambda record: record.start_ns):
        copies.setdefault(record.span_id, []).append(record)
    return tuple(
        AuditEntry(
            same[0].start_ns,
            f"{same[0].attributes['logged_model.event']}{_changes(same[0])}",
            tuple(dict.fromkeys(str(record.resource.get("process.pid", "?")) for record in same)),
        )
        for same in copies.values()
    )


def _changes(record: ReceivedSpan) -> str:
    if record.attributes["logged_model.event"] != "updated":
        return ""
    prefixes = ("logged_model.param.", "logged_model.tag.")
    changed = [
        f"{key.rpartition('.')[2]}={value}" for key, value in record.attributes.items() if key.startswith(prefixes)
    ]
    return " " + ", ".join(changed)
