# SPDX-License-Identifier: Apache-2.0
"""What a coding agent may ask: functions whose docstrings and types tell it how, and whose answers are short JSON.

An agent pays for every word that it reads. So answers have what decides, ids that can be asked further, and texts up to
a bound.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import msgspec

from otel_loggedmodel.conventions import previews
from otel_loggedmodel.conventions.status import is_error
from otel_loggedmodel.presenting import deciding, misuse
from otel_loggedmodel.presenting.metrics import change_of, metric_named, metrics_of, value_of
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.presenting.selecting import selection_of
from otel_loggedmodel.presenting.spans import in_tree_order, llm_of
from otel_loggedmodel.presenting.texts import cut
from otel_loggedmodel.store.reading import Reader, ReadingError, RowFilter, Selection, TraceFilter, VersionFilter
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.trace_results import Span, TraceSummary
from otel_loggedmodel.store.version_results import Version

_MOST_CHARACTERS: Final = 2_000
_MOST_SPANS: Final = 200
_MOST_LISTED: Final = 100


class Tools:
    """The tools, on one store.

    Args:
        reader: Who answers.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def all(self) -> Sequence[Callable[..., str]]:
        """Every tool."""
        return (
            self.list_versions,
            self.deployed_versions,
            self.compare_versions,
            self.changed_rows,
            self.find_traces,
            self.show_trace,
        )

    def list_versions(self, name: str | None = None, since: str | None = None, limit: int = 20) -> str:
        """List versions, those that were used last first: name, release, stage, traces, errors, params.

        Args:
            name: Only versions of this name.
            since: Count traces that began then or later, as `24h`, `7d` or a date.
            limit: At most so many, up to 100.
        """
        which = VersionFilter(name=name, limit=min(max(limit, 1), _MOST_LISTED))

        def ask() -> object:
            found = misuse.with_notes(self._reader.versions(which, _selection(since)))
            return {**found, "versions": [_version(one) for one in found["versions"]]}

        return _told(ask)

    def deployed_versions(self) -> str:
        """Say which version each service that still sends runs now, in which environment, and its share of traffic."""
        return _told(lambda: {"deployed": self._reader.deployments()})

    def compare_versions(self, baseline: str, candidate: str, since: str | None = None) -> str:
        """Say whether a version is better than another: a sentence, a verdict each on quality, errors, speed and cost.

        With every metric and what changed between them.

        Args:
            baseline: The version to be as good as.
            candidate: The version to be judged.
            since: Count traces that began then or later, as `24h`, `7d` or a date.
        """
        return _told(lambda: _compared(self._reader.compare([baseline, candidate], _selection(since))))

    def changed_rows(self, baseline: str, candidate: str, score: str | None = None, limit: int = 10) -> str:
        """List the rows of data sets whose scores changed most between two versions: input, both outputs, scores.

        Args:
            baseline: The first version.
            candidate: The other version.
            score: Only under this evaluation.
            limit: At most so many of each evaluation, up to 100.
        """
        which = RowFilter(score=score, limit=min(max(limit, 1), _MOST_LISTED))

        def rows() -> object:
            return [
                {
                    "row": one.row,
                    "score": one.score,
                    "from": one.base.value,
                    "to": one.candidate.value,
                    "input": _cut(previews.asked(one.input)),
                    "baseline_output": _cut(previews.answered(one.base.output)),
                    "candidate_output": _cut(previews.answered(one.candidate.output)),
                    "explanation": one.candidate.explanation,
                    "candidate_trace": one.candidate.trace_id,
                }
                for one in self._reader.rows([baseline, candidate], which)
            ]

        return _told(lambda: {"rows": rows()})

    def find_traces(
        self,
        version: str | None = None,
        text: str | None = None,
        errors_only: bool = False,
        error_type: str | None = None,
        score: str | None = None,
        conversation: str | None = None,
        order: str = "newest",
        since: str | None = None,
        limit: int = 10,
    ) -> str:
        """List traces: what was asked and answered, or why it failed, how long it took, tokens, cost, scores.

        Args:
            version: Of this version.
            text: In which any span has this text.
            errors_only: Failed ones.
            error_type: That failed with this type of error.
            score: Whose score is within a bound, as `correct<0.5`.
            conversation: That are turns of this conversation.
            order: `newest`, `slowest`, `costliest`, or `worst` by their scores.
            since: That began then or later, as `24h`, `7d` or a date.
            limit: At most so many, up to 100.
        """
        which = TraceFilter(
            errors_only=errors_only,
            text=text,
            error_type=error_type,
            score=score,
            conversation=conversation,
            order=order,
            limit=min(max(limit, 1), _MOST_LISTED),
        )
        return _told(
            lambda: {"traces": [_summary(one) for one in self._reader.traces(version, which, _selection(since))]}
        )

    def show_trace(self, trace_id: str) -> str:
        """Show the spans of one trace in the order of their tree, with what was said, and which of them failed.

        Args:
            trace_id: 32 hex digits, as `find_traces` has them.
        """

        def shown() -> object:
            trace = self._reader.trace(trace_id, _MOST_SPANS)
            spans = in_tree_order(trace.spans, 0, lambda depth, _: depth + 1)
            return {"spans": [_span(span, depth) for span, depth in spans], "left_out": trace.left_out}

        return _told(shown)


def _told(ask: Callable[[], object]) -> str:
    """The answer as JSON. A wrong question gets an answer, too, which says what to do."""
    try:
        answer = ask()
    except (ReadingError, ValueError) as error:
        answer = {"error": str(error), "did_you_mean": list(getattr(error, "suggestions", ()))}
    return msgspec.json.encode(answer).decode()


def _selection(since: str | None) -> Selection:
    return selection_of(since, None, None, (), datetime.now(timezone.utc))


def _version(version: Version) -> dict[str, Any]:
    title = Title.of(version)
    return {
        "id": version.model_id,
        "name": version.name,
        "release": title.label or None,
        "stage": title.stage or None,
        "traces": version.traces,
        "errors": version.errors,
        "error_rate": version.error_rate,
        "p95_ms": version.p95_ms,
        "services": version.services,
        "params": {key: _cut(value) for key, value in version.params.items()},
    }


def _compared(comparison: Comparison) -> dict[str, Any]:
    titles = titles_of(comparison)
    (differences,) = comparison.differences or (None,)
    groups = [] if differences is None else deciding.groups_of(differences)
    metrics = {}
    for metric in metrics_of(comparison.versions):
        difference = None if differences is None else differences.metrics.get(metric.key)
        values: dict[str, Any] = {"values": [value_of(version, metric.key) for version in comparison.versions]}
        if difference is not None:
            values = {
                "values": [difference.base, difference.candidate],
                "change": change_of(metric_named(metric.key), difference),
                "verdict": difference.verdict,
                "reason": difference.reason,
                "interval_95": difference.interval,
            }
        metrics[metric.key] = values
    return {
        "decision": deciding.sentence(groups, *titles.calls) if groups else None,
        "groups": {group.key: group.outcome for group in groups},
        "versions": [{"id": title.model_id, "name": title.text, "stage": title.stage} for title in titles.titles],
        "metrics": metrics,
        "changed": [
            {"kind": part.kind, "key": part.key, "values": [_cut(value) for value in part.values]}
            for part in comparison.configuration
        ],
        "notes": comparison.notes,
    }


def _summary(trace: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "version": trace.model_id,
        "span": trace.span_name,
        "began": datetime.fromtimestamp(trace.start_ns / 1e9, timezone.utc).isoformat(timespec="seconds"),
        "duration_ms": trace.duration_ms,
        "failed": trace.error,
        "reason": trace.reason or None,
        "input": trace.input,
        "output": trace.output,
        "tokens": [trace.input_tokens, trace.output_tokens],
        "cost_usd": trace.cost_usd,
        "scores": trace.scores,
        "conversation": trace.conversation,
    }


def _span(span: Span, depth: int) -> dict[str, Any]:
    told = {
        "depth": depth,
        "name": span.name,
        "duration_ms": span.duration_ns / 1e6,
        "service": span.service,
        "model": llm_of(span),
        "input": _cut(previews.asked_in(span.attributes, span.events)),
        "output": _cut(previews.answered_in(span.attributes, span.events)),
        "failed": _cut(span.status_message or "yes") if is_error(span.status) else None,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def _cut(text: str | None) -> str | None:
    return None if text is None else cut(text, _MOST_CHARACTERS)
