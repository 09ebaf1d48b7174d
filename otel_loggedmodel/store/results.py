# SPDX-License-Identifier: Apache-2.0
"""What readers get: versions, their numbers, and these side by side.

Traces are in `trace_results`, and what charts are made of is in `chart_results`.

The field names are those of the JSON that the command line prints and the server answers, and of the messages in
`proto/otel_loggedmodel/v1/`. Everything here is a value: frozen, and equal when its content is. Times are nanoseconds
since the Unix epoch where the name ends in `_ns` and milliseconds where it ends in `_ms` or MLflow's names say so.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_loggedmodel.store.label_results import Labels


class Verdict(str, enum.Enum):
    """What a difference amounts to.

    The margin is the largest difference that hardly matters. `better` and `worse` are differences that chance does not
    explain, and that are larger than the margin. `same` is a difference that is known to be within the margin. All else
    is `unknown`, for a `Reason`.
    """

    UNKNOWN = "unknown"
    BETTER = "better"
    WORSE = "worse"
    SAME = "same"

    def __str__(self) -> str:
        """The text alone."""
        return self.value


class Reason(str, enum.Enum):
    """Why a verdict is `unknown`.

    `too_few`: fewer independent traces than a verdict takes, or than this quantile takes. `within_chance`: chance
    explains the difference, which may still be large enough to matter. `at_the_margin`: the difference is real, but the
    one that was measured is not larger than the margin. `not_known`: some traces or results do not say the value.
    `not_comparable`: the versions have nothing that can be compared. `weights_missing`: a sampler has kept some traces
    rather than others, and not all of them say how many they stand for. For the last three, more traffic changes
    nothing.
    """

    TOO_FEW = "too_few"
    WITHIN_CHANCE = "within_chance"
    AT_THE_MARGIN = "at_the_margin"
    NOT_KNOWN = "not_known"
    NOT_COMPARABLE = "not_comparable"
    WEIGHTS_MISSING = "weights_missing"

    def __str__(self) -> str:
        """In words."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class LatencyMs:
    """Milliseconds over entry spans, or calls; None where there are none."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens that language models took in and gave out; None where calls of models do not say any, which is not 0.

    Attributes:
        input: All that went in.
        output: All that came out.
        input_per_trace: The mean per trace, over the traces of which every call says it.
        output_per_trace: The same of the output.
        cache_read: Input tokens that were read from a cache; they are among the input.
        cache_write: Input tokens that were written to a cache; they are among the input.
        reasoning: Output tokens of reasoning; they are among the output.
    """

    input: int | None = 0
    output: int | None = 0
    input_per_trace: float | None = None
    output_per_trace: float | None = None
    cache_read: int | None = 0
    cache_write: int | None = 0
    reasoning: int | None = 0


@dataclass(frozen=True, kw_only=True)
class Conversations:
    """The conversations that traces are turns of, where they say so.

    Attributes:
        count: How many there are.
        turns: Traces for each.
        cost_usd: US dollars for each; None where no price is known.
        latency_ms: Milliseconds that the turns of one take together.
    """

    count: int
    turns: float
    cost_usd: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreGroup:
    """The results of one evaluation that one scorer gave on one data set, or on none.

    Attributes:
        source: `human`, `code` or `llm`; None where the results do not say.
        scorer: Digest of the scorer; None where the results have none, as those of people.
        dataset: Digest of the data set; None for production traffic.
        dataset_name: What the data set is called, if anything.
        mean: The mean of all values.
        count: How many there are.
        failed: Results that have no value, as the scorer failed.
        run: Id of the run that counts, if the results are of runs.
        run_name: What that run is called, if anything.
        other_runs: How many other runs of this scorer on this data set there are, which do not count.
    """

    source: str | None = None
    scorer: str | None = None
    dataset: str | None = None
    dataset_name: str | None = None
    mean: float | None = None
    count: int = 0
    failed: int = 0
    run: str | None = None
    run_name: str | None = None
    other_runs: int = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """The results of one evaluation, by its name.

    The results of one scorer on one row of a data set are one value, their mean: scoring a row again makes it more
    certain, and is no further row.

    Attributes:
        mean: The mean of all values; None if there is none, because the scorer failed each time.
        count: How many there are.
        failed: Results that have no value, as the scorer failed.
        groups: What they are made of, the newest first.
    """

    mean: float | None = None
    count: int = 0
    failed: int = 0
    groups: tuple[ScoreGroup, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that something was evaluated on.

    Attributes:
        digest: The digest of its rows.
        name: What it is called, if anything; when its rows change, its digest does, and not its name.
        kept_rows: How many rows the store keeps of the data set of this name; None if it keeps none. If nothing was
            evaluated on it yet, its digest is empty.
    """

    digest: str
    name: str | None = None
    kept_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class VersionMetrics:
    """The numbers of one version.

    Attributes:
        model_id: Its id.
        name: Its name, if known.
        traces: How many there are. Each entry span counts as one, unless it is inside another entry span of the same
            version and trace.
        errors: How many of them failed.
        error_rate: Between 0 and 1; None without traces.
        latency_ms: The latency of the entry spans.
        tokens: The tokens of the traces.
        cost_usd: US dollars over all traces; None where no price is known, which is not 0.
        cost_usd_per_trace: The same for one trace, over the traces of which the price of every call is known.
        scores: By the name of the evaluation.
        calls_per_trace: Calls of models.
        failed_calls: Those of them that failed, for each trace.
        tool_calls_per_trace: Calls of tools.
        first_chunk_ms: How long until the first part of a streamed answer, over calls that say it.
        conversations: What the traces are turns of; None where they do not say.
        cut_off: How many of the traces lack their beginning.
        units: How many independent units the traces are: themselves, or conversations, as `Comparison.unit` says.
        first_ms: When the first of them began, in ms; None without traces.
        last_ms: When the last of them began.
    """

    model_id: str
    name: str | None = None
    traces: int = 0
    errors: int = 0
    error_rate: float | None = None
    latency_ms: LatencyMs = field(default_factory=LatencyMs)
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float | None = None
    cost_usd_per_trace: float | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    calls_per_trace: float | None = None
    failed_calls: float | None = None
    tool_calls_per_trace: float | None = None
    first_chunk_ms: LatencyMs = field(default_factory=LatencyMs)
    conversations: Conversations | None = None
    cut_off: int = 0
    units: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreComparison:
    """What was compared of an evaluation of two versions; results of different scorers are never compared.

    Attributes:
        test: For pairs of rows `mcnemar` or `paired_t`, or `grouped_t` where rows belong together. For values without
            pairs `rates` or `welch`. None where nothing could be compared.
        pairs: Rows that both versions have; 0 where values were compared without pairs.
        higher: Pairs where the candidate's value is higher.
        lower: Pairs where it is lower.
        equal: Pairs where neither is.
        base_count: How many of the first version's values were compared.
        candidate_count: How many of this version's were.
        source: `human`, `code` or `llm`, if the results say.
        scorer: Digest of the scorer, if there is one.
        datasets: Digests of the data sets; none for production traffic.
        changes: How many pairs changed how much: parts of one width from `-change_range` to `change_range`, the lowest
            first. Pairs that are equal have the part in the middle for themselves. Empty without pairs.
        change_range: The largest change that the parts reach: 1, or more where a pair changed more.
    """

    test: str | None = None
    pairs: int = 0
    higher: int = 0
    lower: int = 0
    equal: int = 0
    base_count: int = 0
    candidate_count: int = 0
    source: str | None = None
    scorer: str | None = None
    datasets: tuple[str, ...] = ()
    changes: tuple[int, ...] = ()
    change_range: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How one metric of a version differs from the same of the first version.

    Attributes:
        base: The first version's value.
        candidate: This version's value.
        delta: `candidate - base`.
        ratio: `candidate / base`; None where `base` is 0.
        interval: The 95 % confidence interval of `delta`, its low and its high end.
        effect_size: Between -1 and 1, positive where the candidate's values are higher: the matched-pairs rank-biserial
            correlation for pairs that are ranked, the difference of the rates for rates.
        p_value: The probability of a difference this large where there is none; not corrected.
        p_value_adjusted: The same, corrected by Holm's method for all metrics that were looked at together.
        verdict: What it amounts to.
        reason: Why that is `unknown`; None where it is not.
        margin: The largest difference that hardly matters.
        evaluation: For scores, what was compared. Where that is pairs of rows, `base` and `candidate` are means of
            those rows alone.
        base_interval: The 95 % confidence interval of `base`.
        candidate_interval: The same of `candidate`.
        base_units: How many independent units `base` is of.
        candidate_units: The same of `candidate`.
        adjusted: What the two versions were compared within, if they had different traffic: `route`, `hour` or `route
            and hour`. Then `base` and `candidate` are of the traffic that both have, and not of all traces.
    """

    base: float | None = None
    candidate: float | None = None
    delta: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_value_adjusted: float | None = None
    verdict: Verdict = Verdict.UNKNOWN
    evaluation: ScoreComparison | None = None
    reason: Reason | None = None
    margin: float | None = None
    base_interval: tuple[float, float] | None = None
    candidate_interval: tuple[float, float] | None = None
    base_units: int = 0
    candidate_units: int = 0
    adjusted: str | None = None


@dataclass(frozen=True, kw_only=True)
class VersionDifferences:
    """How one version differs from the first.

    Attributes:
        model_id: The id of the version.
        metrics: By the name of the metric: `error_rate`, `latency_ms.p50` (and `.p90`, `.p95`, `.p99`, `.mean`),
            `tokens.input_per_trace`, `tokens.output_per_trace`, `cost_usd_per_trace`, `failed_calls`,
            `first_chunk_ms.p50` (and so on), `scores.<name>`.
    """

    model_id: str
    metrics: Mapping[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ConfigurationDifference:
    """A part of what the versions were made of that is not the same for all.

    Attributes:
        kind: `param`, `tag`, `field` (type, source run, status), `prompt` (its versions) or `agent`, as spans say.
        key: Which.
        values: For each version, in order; None where it has none.
    """

    kind: str
    key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Versions side by side.

    Attributes:
        versions: In the order in which they were asked for.
        differences: How each version but the first differs from the first.
        configuration: What they are made of, where that differs.
        notes: What a reader of the numbers has to know, in sentences.
        unit: What is taken as independent: `trace`, `conversation`, or the name of an attribute.
        labels: Of evaluations whose results are labels and no numbers, the shares of each.
    """

    versions: tuple[VersionMetrics, ...]
    differences: tuple[VersionDifferences, ...] = ()
    configuration: tuple[ConfigurationDifference, ...] = ()
    notes: tuple[str, ...] = ()
    unit: str = "trace"
    labels: tuple[Labels, ...] = ()
