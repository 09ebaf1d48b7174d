# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: their numbers, and which of their differences are real.

`samples` asks for the numbers, `differences` and `score_comparison` judge them. P-values are corrected by Holm's method
over all metrics that are shown.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import differences, run_records, samples, statistics, stray, uncached
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Scope
from otel_loggedmodel.store.results import (
    Conversations,
    Difference,
    LatencyMs,
    Score,
    Tokens,
    VersionDifferences,
    VersionMetrics,
)
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.samples import QUANTILES, Row
from otel_loggedmodel.store.score_comparison import Match, Scores, match, read, score_of
from otel_loggedmodel.store.scores import groups

_MEANS: Final = {
    "latency_ms.mean": "latencies",
    "tokens.input_per_trace": "inputs",
    "tokens.output_per_trace": "outputs",
    "cost_usd_per_trace": "costs",
    "failed_calls": "failures",
}
# Values of which some are not known are not those of all traces: beyond this part of them there is no verdict.
_MOST_UNKNOWN: Final = 0.01


def measure(database: Database, scope: Scope, names: Mapping[str, str | None]) -> "Measurement":
    """Measure versions.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
        names: The name of each version, by its id, where it has one.
    """
    model_ids = list(scope.model_ids or ())
    rows = samples.rows(database, scope, model_ids)
    writing = uncached.may_have_written(database, scope) if any(row["uncached"] for row in rows.values()) else ()
    runs = run_records.load(database, scope.columns)
    scores = _scores(database, scope, runs)
    return Measurement(model_ids, rows, scores, names, stray.calls_of(database, scope), writing, runs)


def matches(database: Database, scope: Scope) -> dict[str, dict[str, Match]]:
    """What is compared of the scores of each version but the first, by its id and their names.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
    """
    runs = run_records.load(database, scope.columns)
    return _all_matches(list(scope.model_ids or ()), _scores(database, scope, runs))


def scores(database: Database, scope: Scope) -> dict[str, dict[str, Score]]:
    """The scores of versions, by their ids and by name; the arguments are those of `measure`."""
    runs = run_records.load(database, scope.columns)
    return {model_id: _shown(found) for model_id, found in _scores(database, scope, runs).items()}


def _shown(found: Scores) -> dict[str, Score]:
    return {name: score_of(groups) for name, groups in sorted(found.items())}


def _scores(database: Database, scope: Scope, runs: Sequence[Run]) -> dict[str, Scores]:
    scores: dict[str, list[Row]] = {model_id: [] for model_id in scope.model_ids or ()}
    query = groups(scope, run_records.unfinished(runs))
    for row in database.query(query.sql, query.parameters):
        scores[row["version"]].append(row)
    return {model_id: read(found) for model_id, found in scores.items()}


def _all_matches(model_ids: Sequence[str], scores: Mapping[str, Scores]) -> dict[str, dict[str, Match]]:
    base, *candidates = model_ids
    return {candidate: _matches(scores[base], scores[candidate]) for candidate in candidates}


class Measurement:
    """What was measured of some versions.

    Args:
        model_ids: The versions, in order.
        rows: Their numbers, by version, where there are traces.
        scores: Their scores, by version and name.
        names: Their names, by version.
        strays: How many calls in their traces carry no version, by version.
        writing: Versions that may have written tokens to a cache and do not say how many.
        runs: The evaluation runs of the store.

    Attributes:
        versions: Their numbers.
        matches: What is compared of the scores of each version but the first, by their names.
    """

    def __init__(
        self,
        model_ids: Sequence[str],
        rows: Mapping[str, Row],
        scores: Mapping[str, Scores],
        names: Mapping[str, str | None],
        strays: Mapping[str, int],
        writing: Collection[str] = (),
        runs: Sequence[Run] = (),
    ) -> None:
        self._runs = runs
        self._model_ids = model_ids
        self.strays = strays
        self._writing = writing
        self._rows = rows
        self._scores = scores
        self.matches = _all_matches(model_ids, scores)
        self.versions = [self._metrics(model_id, names.get(model_id)) for model_id in model_ids]

    def differences(self) -> list[VersionDifferences]:
        """How each version but the first differs from it."""
        base, *candidates = self._model_ids
        found = statistics.judged([self._differences(base, candidate) for candidate in candidates])
        return [
            VersionDifferences(model_id=candidate, metrics=metrics)
            for candidate, metrics in zip(candidates, found, strict=True)
        ]

    def _metrics(self, model_id: str, name: str | None) -> VersionMetrics:
        scores = _shown(self._scores[model_id])
        row = self._rows.get(model_id)
        if row is None:
            return VersionMetrics(model_id=model_id, name=name, scores=scores)
        traces, is_said, is_priced = row["traces"], self._is_said(row), self._is_priced(row)
        return VersionMetrics(
            model_id=model_id,
            name=name,
            traces=traces,
            errors=row["errors"],
            error_rate=row["errors"] / traces,
            latency_ms=_latency(row["quantiles"], row["mean"]),
            tokens=Tokens(
                **{kind: self._total(row, kind) for kind in _TOKENS},
                input_per_trace=_each(row["said_input"], row["said_traces"] if is_said else 0),
                output_per_trace=_each(row["said_output"], row["said_traces"] if is_said else 0),
            ),
            cost_usd=row["cost"] if is_priced and self._is_whole(row) else None,
            cost_usd_per_trace=_each(row["priced_cost"], row["priced_traces"] if is_priced else 0),
            scores=scores,
            calls_per_trace=row["calls"] / traces,
            failed_calls=row["failed_calls"] / traces,
            tool_calls_per_trace=row["tool_calls"] / traces,
            first_chunk_ms=_latency(row["chunk_quantiles"], row["chunk_mean"]) if row["chunks"] else LatencyMs(),
            conversations=_conversations(row, is_priced),
            cut_off=row["cut_off"],
        )

    def _is_priced(self, row: Row) -> bool:
        """Whether the cost of a version is known, as far as there is one.

        Without calls of models it is nothing, where versions that it stands beside have any; else it means nothing.
        """
        if row["calls"] == 0:
            return not self._is_stray(row) and any(other["calls"] for other in self._rows.values())
        return bool(row["priced"]) or row["unpriced"] + row["unsaid"] + row["uncosted"] == 0

    def _is_said(self, row: Row) -> bool:
        """Whether tokens of a version are known: some call says them, or there is none that could.

        Where agents ran and no call of any is there, nothing states their calls.
        """
        return bool(row["said"]) or (
            row["unsaid"] == 0 and not self._is_stray(row) and not (row["mute"] and row["calls"] == 0)
        )

    def _is_whole(self, row: Row) -> bool:
        """Whether a total cost is that of nearly all traces, apart from models without a price, which a note names."""
        return _is_known(row, "tokens.input_per_trace") and row["uncosted"] <= _MOST_UNKNOWN * row["calls"]

    def _total(self, row: Row, kind: str) -> int | None:
        """Tokens of a kind, where they are known of nearly all traces; embeddings have input tokens alone."""
        is_embedding = row["unsaid_embeddings"] == row["unsaid"] > 0 and not self._is_stray(row)
        if not (is_embedding and kind != "input") and not (
            self._is_said(row) and _is_known(row, "tokens.input_per_trace")
        ):
            return None
        if row["uncached"] > _MOST_UNKNOWN * row["calls"] and (
            kind == "cache_read" or (kind == "cache_write" and row["version"] in self._writing)
        ):
            return None
        return int(row[kind])

    def _is_stray(self, row: Row) -> bool:
        """Whether the calls of a version carry none, as far as there are any."""
        return row["said"] == 0 and row["version"] in self.strays

    def counted(self, what: str) -> dict[str, int]:
        """One of what is counted besides the metrics, by version, where it is not 0."""
        return {model_id: row[what] for model_id, row in self._rows.items() if row[what]}

    def mute(self) -> int:
        """How many traces there are of agents, in versions without a call of a model."""
        return sum(row["mute"] for row in self._rows.values() if row["calls"] == 0)

    def notes(self) -> Iterator[str]:
        """What a reader of the scores has to know."""
        for candidate in self._model_ids[1:]:
            for name, matched in self.matches[candidate].items():
                yield from matched.notes(name, candidate)
        yield from run_records.notes(self._runs, self._scores)

    def _differences(self, base_id: str, candidate_id: str) -> dict[str, Difference]:
        base, candidate = self._rows.get(base_id), self._rows.get(candidate_id)
        found: dict[str, Difference] = {}
        if base is not None and candidate is not None:
            found["error_rate"] = differences.rate_difference(base, candidate)
            found.update(differences.quantile_differences(base, candidate))
            found.update(self._mean_differences(base, candidate))
            if base["chunks"] and candidate["chunks"]:
                found.update(differences.chunk_differences(base, candidate))
        for name, matched in self.matches[candidate_id].items():
            found[f"scores.{name}"] = matched.difference()
        return found

    def _mean_differences(self, base: Row, candidate: Row) -> dict[str, Difference]:
        found = {}
        for metric, values in _MEANS.items():
            known = [self._known_mean(row, metric) for row in (base, candidate)]
            if known == [None, None]:
                continue
            is_known = all(_is_known(row, metric) for row in (base, candidate))
            if None in known or not is_known:
                found[metric] = statistics.difference(*known)
            else:
                found[metric] = differences.tested(
                    candidate[f"welch_{values}"], known, [base["traces"], candidate["traces"]]
                )
        return found

    def _known_mean(self, row: Row, metric: str) -> float | None:
        """The mean that is shown of a version."""
        if metric.startswith("tokens."):
            which = "said_input" if metric == "tokens.input_per_trace" else "said_output"
            return _each(row[which], row["said_traces"] if self._is_said(row) else 0)
        if metric == "cost_usd_per_trace":
            return _each(row["priced_cost"], row["priced_traces"] if self._is_priced(row) else 0)
        if metric == "failed_calls":
            has_calls = any(other["calls"] for other in self._rows.values())
            return row["failed_calls"] / row["traces"] if has_calls else None
        return float(row["mean"])


_TOKENS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


def _is_known(row: Row, metric: str) -> bool:
    known = {"tokens.input_per_trace": "said_traces", "tokens.output_per_trace": "said_traces"}
    which = {**known, "cost_usd_per_trace": "priced_traces"}.get(metric, "traces")
    return bool(row[which] >= (1 - _MOST_UNKNOWN) * row["traces"])


def _each(total: float, number: int) -> float | None:
    return total / number if number else None


def _latency(quantiles: Any, mean: float) -> LatencyMs:
    return LatencyMs(
        **{name: quantile[0] for name, quantile in zip(QUANTILES, quantiles, strict=True)},
        mean=mean,
    )


def _conversations(row: Row, is_priced: bool) -> Conversations | None:
    count = row["conversations"]
    if not count:
        return None
    return Conversations(
        count=count,
        turns=row["turns"] / count,
        cost_usd=row["turns_cost"] / count if is_priced else None,
        latency_ms=row["turns_ns"] / 1e6 / count,
    )


def _matches(base: Scores, candidate: Scores) -> dict[str, Match]:
    return {name: match(base.get(name, ()), candidate.get(name, ())) for name in sorted({*base, *candidate})}
