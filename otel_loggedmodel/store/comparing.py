# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: their numbers, and which of their differences are real.

`samples` asks for the numbers, `differences` and `score_comparison` judge them. P-values are corrected by Holm's method
over all metrics that are shown.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from otel_loggedmodel.store import (
    differences,
    lopsided,
    matching,
    rounded,
    run_records,
    samples,
    statistics,
    stray,
    traffic,
    tries,
    uncached,
    weights,
)
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import Design
from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.results import (
    Conversations,
    Difference,
    LatencyMs,
    Reason,
    Tokens,
    VersionDifferences,
    VersionMetrics,
)
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.samples import QUANTILES, Quantile, Row
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.score_groups import Scores
from otel_loggedmodel.store.steady import Steady
from otel_loggedmodel.store.traffic import Designs

_MEANS: Final = {
    "latency_ms.mean": "latencies",
    "tokens.input_per_trace": "inputs",
    "tokens.output_per_trace": "outputs",
    "cost_usd_per_trace": "costs",
    "failed_calls": "failed_calls",
}
# If more than this part of the values is not known, the rest does not stand for all traces, and there is no verdict.
_MOST_UNKNOWN: Final = 0.01


def measure(
    database: Database, scope: Scope, names: Mapping[str, str | None], lasting: Steady | None = None
) -> "Measurement":
    """Measure versions.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
        names: The name of each version, by its id, where it has one.
        lasting: The same versions, if what was measured of them may be remembered.
    """
    model_ids = list(scope.model_ids or ())
    if lasting is None:
        found = _measured(database, scope, model_ids)
    else:
        what = (repr(scope.selection), repr(scope.prices), scope.is_entangled)
        found = lasting.measure_together(model_ids, what, lambda: _measured(database, scope, model_ids))
    # Runs matter where they have results.
    runs = run_records.load(database, scope.columns) if scope.has_results else []
    scores = matching.grouped(database, scope, runs, found.designs.together)
    strays = stray.calls_of(database, scope)
    return Measurement(model_ids, found, scores, names, strays, runs, scope.selection)


def _measured(database: Database, scope: Scope, model_ids: Sequence[str]) -> "Measured":
    """What the store says of the traces of some versions."""
    designs = traffic.designs(database, scope, model_ids)
    rows: Mapping[str, Row] = {}
    within = {}
    # Two versions that are compared within parts of the traffic need one query, that of `_within`.
    if len(model_ids) != 2 or not designs.plans[model_ids[1]].shares:
        rows = _rows(database, scope, model_ids, designs.together)
    for place, candidate in enumerate(one for one in model_ids[1:] if designs.plans[one].shares):
        if place >= _MOST_WITHIN:
            designs = designs.without(candidate)
            continue
        pair, designs = _within(database, scope, [model_ids[0], candidate], designs)
        rows = rows or pair
        if designs.plans[candidate].shares:
            within[candidate] = pair
    writing = uncached.may_have_written(database, scope) if any(row["uncached"] for row in rows.values()) else ()
    return Measured(rows, within, designs, writing)


# Comparing within parts of the traffic takes a query for each version: beyond so many, they are compared as a whole.
_MOST_WITHIN: Final = 8
_LEAST_LEFT: Final = 0.5


def _within(
    database: Database, scope: Scope, pair: Sequence[str], designs: Designs
) -> tuple[Mapping[str, Row], Designs]:
    """The rows of two versions that are compared within parts of the traffic, and the designs that this leads to."""
    candidate = pair[1]
    scope = replace(scope, model_ids=list(pair))
    rows = _rows(database, scope, pair, designs.of(candidate))
    shares = designs.plans[candidate].shares
    left = still_shared(shares, list(rows.values()))
    if not left:
        return rows, designs.without(candidate)
    if len(left) == len(shares):
        return rows, designs
    designs = designs.within(candidate, left)
    return _rows(database, scope, pair, designs.of(candidate)), designs


def _rows(database: Database, scope: Scope, model_ids: Sequence[str], design: Design) -> Mapping[str, Row]:
    if design.is_large:
        return rounded.rows(database, scope, design)
    return samples.rows(database, scope, model_ids, design)


def still_shared(shares: Mapping[int, float], rows: Sequence[Row]) -> Mapping[int, float]:
    """The shares of the strata in which each version has units; none where too little is left.

    A conversation is in the stratum of its first trace. So two versions may share a stratum by their traces, and not by
    their conversations.
    """
    left = {
        code: share
        for code, share in shares.items()
        if all(code in row["strata"] and row["strata"][code]["failures"].x > 0 for row in rows)
    }
    total = sum(left.values())
    return {code: share / total for code, share in left.items()} if total >= _LEAST_LEFT else {}


@dataclass(frozen=True)
class Measured:
    """What the store says of the traces of some versions.

    Attributes:
        rows: Their numbers, by version, where there are traces.
        within: For each version that is compared within parts of the traffic: its row and that of the first, likewise.
        designs: How they are compared.
        writing: Versions that may have written tokens to a cache and do not say how many.
    """

    rows: Mapping[str, Row]
    within: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    designs: Designs = field(default_factory=Designs)
    writing: Collection[str] = ()


class Measurement:
    """What was measured of some versions.

    Args:
        model_ids: The versions, in order.
        measured: Their numbers.
        scores: Their scores, by version and name.
        names: Their names, by version.
        strays: How many calls in their traces carry no version, by version.
        runs: The evaluation runs of the store.
        selection: Which traces count, and how scores do.

    Attributes:
        versions: Their numbers.
        matches: What can be compared of the scores of each version but the first, by its id and their names.
    """

    def __init__(
        self,
        model_ids: Sequence[str],
        measured: Measured,
        scores: Mapping[str, Scores],
        names: Mapping[str, str | None],
        strays: Mapping[str, int],
        runs: Sequence[Run] = (),
        selection: Selection = EVERYTHING,
    ) -> None:
        self._runs = runs
        self._selection = selection
        self._model_ids = model_ids
        self.strays = strays
        self._measured = measured
        self._rows = measured.rows
        self._scores = scores
        self.matches = matching.of_candidates(model_ids, scores)
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
        scores = matching.shown(self._scores[model_id])
        row = self._rows.get(model_id)
        if row is None:
            return VersionMetrics(model_id=model_id, name=name, scores=scores)
        traces, is_said, is_priced = row["traces"], self._is_said(row), self._is_priced(row)
        return VersionMetrics(
            model_id=model_id,
            name=name,
            traces=traces,
            errors=row["errors"],
            error_rate=_mean(row, "failures"),
            latency_ms=_latency(row["quantiles"], _mean(row, "latencies")),
            tokens=Tokens(
                **{kind: self._total(row, kind) for kind in _TOKENS},
                input_per_trace=_mean(row, "inputs") if is_said else None,
                output_per_trace=_mean(row, "outputs") if is_said else None,
            ),
            cost_usd=row["cost"] if is_priced and self._is_whole(row) else None,
            cost_usd_per_trace=_mean(row, "costs") if is_priced else None,
            scores=scores,
            calls_per_trace=row["calls"] / traces,
            failed_calls=_mean(row, "failed_calls"),
            tool_calls_per_trace=row["tool_calls"] / traces,
            first_chunk_ms=_latency(row["chunk_quantiles"], _mean(row, "chunks")),
            conversations=_conversations(row, is_priced),
            cut_off=row["cut_off"],
            units=row["moments"]["failures"].units,
            first_ms=row["first"] // 1_000_000,
            last_ms=row["last"] // 1_000_000,
        )

    def _is_priced(self, row: Row) -> bool:
        """Whether the cost of a version is known.

        Without calls of models, the cost is 0 if another of the versions has calls. If none has, it means nothing.
        Where agents ran, it is not known, as nothing stated their calls then.
        """
        if row["calls"] == 0:
            is_silent = self._is_stray(row) or row["mute"]
            return not is_silent and any(other["calls"] for other in self._rows.values())
        return bool(row["priced"]) or row["unpriced"] + row["unsaid"] + row["uncosted"] == 0

    def _is_said(self, row: Row) -> bool:
        """Whether tokens of a version are known: some call says them, or there is none that could.

        They are not known where agents ran and there is no call: nothing stated their calls then.
        """
        return bool(row["said"]) or (
            row["unsaid"] == 0 and not self._is_stray(row) and not (row["mute"] and row["calls"] == 0)
        )

    def _is_whole(self, row: Row) -> bool:
        """Whether a total cost is that of nearly all traces, apart from models without a price. A note names those."""
        return _is_known(row, "tokens.input_per_trace") and row["uncosted"] <= _MOST_UNKNOWN * row["calls"]

    def _total(self, row: Row, kind: str) -> int | None:
        """Tokens of a kind, where nearly all traces say them; embeddings have only input tokens."""
        is_embedding = row["unsaid_embeddings"] == row["unsaid"] > 0 and not self._is_stray(row)
        if not (is_embedding and kind != "input") and not (
            self._is_said(row) and _is_known(row, "tokens.input_per_trace")
        ):
            return None
        if row["uncached"] > _MOST_UNKNOWN * row["calls"] and (
            kind == "cache_read" or (kind == "cache_write" and row["version"] in self._measured.writing)
        ):
            return None
        return int(row[kind])

    def _is_stray(self, row: Row) -> bool:
        """Whether calls in the traces of a version carry no version, and none that carries it says tokens or a cost."""
        return row["said"] == 0 and row["version"] in self.strays

    def counted(self, what: str) -> dict[str, int]:
        """One of the counts that are no metrics, by version, where it is not 0."""
        return {model_id: row[what] for model_id, row in self._rows.items() if row[what]}

    @property
    def scores(self) -> Mapping[str, Scores]:
        """The scores, by version and name."""
        return self._scores

    def mute(self) -> int:
        """How many traces of agents there are in versions without a call of a model."""
        return sum(row["mute"] for row in self._rows.values() if row["calls"] == 0)

    def largest_parts(self, values: str) -> dict[str, float]:
        """Which part of a sum is that of its largest unit, by version; `values` is one of `samples.VALUES`."""
        return {model_id: lopsided.largest_part(row, values) for model_id, row in self._rows.items()}

    @property
    def design(self) -> Design:
        """How all versions are measured together."""
        return self._measured.designs.together

    @property
    def unit(self) -> str:
        """What is taken as independent: `trace`, `conversation`, or the name of an attribute."""
        return self._measured.designs.together.units

    def notes(self) -> Iterator[str]:
        """What a reader of the differences has to know."""
        names = {version.model_id: version.name or version.model_id for version in self.versions}
        yield from self._measured.designs.notes(self._model_ids, names)
        yield from self._of_rows(names)
        if self.design.is_large:
            yield from rounded.notes(
                self.design, has_conversations=any(row["conversations"] for row in self._rows.values())
            )
        for candidate in self._model_ids[1:]:
            for name, matched in self.matches[candidate].items():
                yield from matched.notes(name, candidate)
        yield from run_records.notes(self._runs, self._scores, fail_as_zero=self._selection.failed_rows == "zero")
        if self._selection.pass_at is not None:
            yield from tries.notes(self._selection.pass_at, self._scores, names)

    def _differences(self, base_id: str, candidate_id: str) -> dict[str, Difference]:
        pair = self._measured.within.get(candidate_id, self._rows)
        base, candidate = pair.get(base_id), pair.get(candidate_id)
        found: dict[str, Difference] = {}
        if base is not None and candidate is not None:
            design = self._measured.designs.of(candidate_id)
            found["error_rate"] = differences.rate_difference(base, candidate, design)
            found.update(differences.quantile_differences(base, candidate, design))
            found.update(self._mean_differences(base, candidate, design))
            if all(row["moments"]["chunks"].units for row in (base, candidate)):
                found.update(differences.chunk_differences(base, candidate, design))
        for name, matched in self.matches[candidate_id].items():
            found[f"scores.{name}"] = matched.difference()
        if any(row is not None and 0 < row["unweighted"] < row["traces"] for row in (base, candidate)):
            # No sampler chose the rows of data sets.
            sampled = [metric for metric, one in found.items() if one.evaluation is None or not one.evaluation.datasets]
            found |= {metric: _without_verdict(found[metric]) for metric in sampled}
        return found

    def _of_rows(self, names: Mapping[str, str]) -> Iterator[str]:
        """Notes on traces that make numbers mean something other than they seem to."""
        for model_id, row in self._rows.items():
            name = names[model_id]
            if row["untimed"]:
                yield (
                    f"{row['untimed']} {'span' if row['untimed'] == 1 else 'spans'} of {name} end before they begin, as"
                    " clocks that are set do: their latency is not known, and is left out."
                )
            if 0 < row["unweighted"] < row["traces"]:
                yield (
                    f"{row['unweighted']} of {row['traces']} traces of {name} do not say how many they stand for, and"
                    " others do: there is no verdict on it. Have the sampler mark all that it keeps, with"
                    f" {weights.ADJUSTED_COUNT} on the entry span, or 1 where it keeps all."
                )
            units = row["moments"]["failures"].units
            if units < statistics.MIN_SAMPLES <= row["traces"]:
                yield (
                    f"The {row['traces']} traces of {name} are of {units} {self.unit}{'' if units == 1 else 's'}, and"
                    f" {statistics.MIN_SAMPLES} are needed for a verdict. `--by trace` takes each for independent;"
                    " where they are not, verdicts are wrong more often than they say."
                )

    def _mean_differences(self, base: Row, candidate: Row, design: Design) -> dict[str, Difference]:
        found = {}
        for metric, values in _MEANS.items():
            known = [self._known_mean(row, metric) for row in (base, candidate)]
            if known == [None, None]:
                continue
            is_known = all(_is_known(row, metric) for row in (base, candidate))
            if None in known or not is_known:
                found[metric] = replace(statistics.difference(*known), reason=Reason.NOT_KNOWN)
            else:
                found[metric] = differences.mean_difference(values, base, candidate, design)
        return found

    def _known_mean(self, row: Row, metric: str) -> float | None:
        """The mean that is shown of a version."""
        if metric.startswith("tokens.") and not self._is_said(row):
            return None
        if metric == "cost_usd_per_trace" and not self._is_priced(row):
            return None
        if metric == "failed_calls" and not any(other["calls"] for other in self._rows.values()):
            return None
        return _mean(row, _MEANS[metric])


_TOKENS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


def _is_known(row: Row, metric: str) -> bool:
    known = {"tokens.input_per_trace": "said_traces", "tokens.output_per_trace": "said_traces"}
    which = {**known, "cost_usd_per_trace": "priced_traces"}.get(metric, "traces")
    return bool(row[which] >= (1 - _MOST_UNKNOWN) * row["traces"])


def _without_verdict(one: Difference) -> Difference:
    return replace(one, interval=None, p_value=None, reason=Reason.WEIGHTS_MISSING)


def _mean(row: Row, name: str) -> float | None:
    moments: Moments = row["moments"][name]
    return moments.ratio


def _latency(quantiles: Sequence[Quantile], mean: float | None) -> LatencyMs:
    if mean is None:
        return LatencyMs()
    return LatencyMs(**{name: found.value for name, found in zip(QUANTILES, quantiles, strict=True)}, mean=mean)


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
