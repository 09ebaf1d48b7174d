from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Comparison(_message.Message):
    __slots__ = ("versions", "differences", "configuration", "notes", "unit", "labels")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionMetrics]
    differences: _containers.RepeatedCompositeFieldContainer[VersionDifferences]
    configuration: _containers.RepeatedCompositeFieldContainer[ConfigurationDifference]
    notes: _containers.RepeatedScalarFieldContainer[str]
    unit: str
    labels: _containers.RepeatedCompositeFieldContainer[Labels]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionMetrics, _Mapping]]] = ..., differences: _Optional[_Iterable[_Union[VersionDifferences, _Mapping]]] = ..., configuration: _Optional[_Iterable[_Union[ConfigurationDifference, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., unit: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Labels, _Mapping]]] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("name", "labels", "totals", "p_values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    P_VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    totals: _containers.RepeatedScalarFieldContainer[int]
    p_values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., totals: _Optional[_Iterable[int]] = ..., p_values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("label", "counts")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    label: str
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, label: _Optional[str] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class VersionMetrics(_message.Message):
    __slots__ = ("model_id", "name", "traces", "errors", "error_rate", "latency_ms", "tokens", "cost_usd", "scores", "cost_usd_per_trace", "calls_per_trace", "failed_calls", "tool_calls_per_trace", "first_chunk_ms", "conversations", "cut_off", "units", "first_ms", "last_ms")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Score
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Score, _Mapping]] = ...) -> None: ...
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRACES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    COST_USD_PER_TRACE_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_TRACE_FIELD_NUMBER: _ClassVar[int]
    FAILED_CALLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_PER_TRACE_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHUNK_MS_FIELD_NUMBER: _ClassVar[int]
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    FIRST_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_MS_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    name: str
    traces: int
    errors: int
    error_rate: float
    latency_ms: LatencyMs
    tokens: Tokens
    cost_usd: float
    scores: _containers.MessageMap[str, Score]
    cost_usd_per_trace: float
    calls_per_trace: float
    failed_calls: float
    tool_calls_per_trace: float
    first_chunk_ms: LatencyMs
    conversations: Conversations
    cut_off: int
    units: int
    first_ms: int
    last_ms: int
    def __init__(self, model_id: _Optional[str] = ..., name: _Optional[str] = ..., traces: _Optional[int] = ..., errors: _Optional[int] = ..., error_rate: _Optional[float] = ..., latency_ms: _Optional[_Union[LatencyMs, _Mapping]] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., cost_usd: _Optional[float] = ..., scores: _Optional[_Mapping[str, Score]] = ..., cost_usd_per_trace: _Optional[float] = ..., calls_per_trace: _Optional[float] = ..., failed_calls: _Optional[float] = ..., tool_calls_per_trace: _Optional[float] = ..., first_chunk_ms: _Optional[_Union[LatencyMs, _Mapping]] = ..., conversations: _Optional[_Union[Conversations, _Mapping]] = ..., cut_off: _Optional[int] = ..., units: _Optional[int] = ..., first_ms: _Optional[int] = ..., last_ms: _Optional[int] = ...) -> None: ...

class Conversations(_message.Message):
    __slots__ = ("count", "turns", "cost_usd", "latency_ms")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    count: int
    turns: float
    cost_usd: float
    latency_ms: float
    def __init__(self, count: _Optional[int] = ..., turns: _Optional[float] = ..., cost_usd: _Optional[float] = ..., latency_ms: _Optional[float] = ...) -> None: ...

class LatencyMs(_message.Message):
    __slots__ = ("p50", "p90", "p95", "p99", "mean")
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    def __init__(self, p50: _Optional[float] = ..., p90: _Optional[float] = ..., p95: _Optional[float] = ..., p99: _Optional[float] = ..., mean: _Optional[float] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("input", "output", "input_per_trace", "output_per_trace", "cache_read", "cache_write", "reasoning")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_PER_TRACE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PER_TRACE_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    input: int
    output: int
    input_per_trace: float
    output_per_trace: float
    cache_read: int
    cache_write: int
    reasoning: int
    def __init__(self, input: _Optional[int] = ..., output: _Optional[int] = ..., input_per_trace: _Optional[float] = ..., output_per_trace: _Optional[float] = ..., cache_read: _Optional[int] = ..., cache_write: _Optional[int] = ..., reasoning: _Optional[int] = ...) -> None: ...

class Score(_message.Message):
    __slots__ = ("mean", "count", "groups", "failed")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    mean: float
    count: int
    groups: _containers.RepeatedCompositeFieldContainer[ScoreGroup]
    failed: int
    def __init__(self, mean: _Optional[float] = ..., count: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[ScoreGroup, _Mapping]]] = ..., failed: _Optional[int] = ...) -> None: ...

class ScoreGroup(_message.Message):
    __slots__ = ("source", "scorer", "dataset", "dataset_name", "mean", "count", "failed", "run", "run_name", "other_runs")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SCORER_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DATASET_NAME_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    OTHER_RUNS_FIELD_NUMBER: _ClassVar[int]
    source: str
    scorer: str
    dataset: str
    dataset_name: str
    mean: float
    count: int
    failed: int
    run: str
    run_name: str
    other_runs: int
    def __init__(self, source: _Optional[str] = ..., scorer: _Optional[str] = ..., dataset: _Optional[str] = ..., dataset_name: _Optional[str] = ..., mean: _Optional[float] = ..., count: _Optional[int] = ..., failed: _Optional[int] = ..., run: _Optional[str] = ..., run_name: _Optional[str] = ..., other_runs: _Optional[int] = ...) -> None: ...

class VersionDifferences(_message.Message):
    __slots__ = ("model_id", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Difference
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Difference, _Mapping]] = ...) -> None: ...
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    metrics: _containers.MessageMap[str, Difference]
    def __init__(self, model_id: _Optional[str] = ..., metrics: _Optional[_Mapping[str, Difference]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("base", "candidate", "delta", "ratio", "p_value", "verdict", "interval", "effect_size", "p_value_adjusted", "evaluation", "reason", "margin", "base_interval", "candidate_interval", "base_units", "candidate_units", "adjusted")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        unknown: _ClassVar[Difference.Verdict]
        better: _ClassVar[Difference.Verdict]
        worse: _ClassVar[Difference.Verdict]
        same: _ClassVar[Difference.Verdict]
    unknown: Difference.Verdict
    better: Difference.Verdict
    worse: Difference.Verdict
    same: Difference.Verdict
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        too_few: _ClassVar[Difference.Reason]
        within_chance: _ClassVar[Difference.Reason]
        at_the_margin: _ClassVar[Difference.Reason]
        not_known: _ClassVar[Difference.Reason]
        not_comparable: _ClassVar[Difference.Reason]
        weights_missing: _ClassVar[Difference.Reason]
    too_few: Difference.Reason
    within_chance: Difference.Reason
    at_the_margin: Difference.Reason
    not_known: Difference.Reason
    not_comparable: Difference.Reason
    weights_missing: Difference.Reason
    BASE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    EFFECT_SIZE_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_ADJUSTED_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    BASE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BASE_UNITS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_UNITS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_FIELD_NUMBER: _ClassVar[int]
    base: float
    candidate: float
    delta: float
    ratio: float
    p_value: float
    verdict: Difference.Verdict
    interval: _containers.RepeatedScalarFieldContainer[float]
    effect_size: float
    p_value_adjusted: float
    evaluation: ScoreComparison
    reason: Difference.Reason
    margin: float
    base_interval: _containers.RepeatedScalarFieldContainer[float]
    candidate_interval: _containers.RepeatedScalarFieldContainer[float]
    base_units: int
    candidate_units: int
    adjusted: str
    def __init__(self, base: _Optional[float] = ..., candidate: _Optional[float] = ..., delta: _Optional[float] = ..., ratio: _Optional[float] = ..., p_value: _Optional[float] = ..., verdict: _Optional[_Union[Difference.Verdict, str]] = ..., interval: _Optional[_Iterable[float]] = ..., effect_size: _Optional[float] = ..., p_value_adjusted: _Optional[float] = ..., evaluation: _Optional[_Union[ScoreComparison, _Mapping]] = ..., reason: _Optional[_Union[Difference.Reason, str]] = ..., margin: _Optional[float] = ..., base_interval: _Optional[_Iterable[float]] = ..., candidate_interval: _Optional[_Iterable[float]] = ..., base_units: _Optional[int] = ..., candidate_units: _Optional[int] = ..., adjusted: _Optional[str] = ...) -> None: ...

class ScoreComparison(_message.Message):
    __slots__ = ("test", "pairs", "higher", "lower", "equal", "base_count", "candidate_count", "source", "scorer", "datasets", "changes", "change_range")
    TEST_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    HIGHER_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    BASE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SCORER_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGE_RANGE_FIELD_NUMBER: _ClassVar[int]
    test: str
    pairs: int
    higher: int
    lower: int
    equal: int
    base_count: int
    candidate_count: int
    source: str
    scorer: str
    datasets: _containers.RepeatedScalarFieldContainer[str]
    changes: _containers.RepeatedScalarFieldContainer[int]
    change_range: float
    def __init__(self, test: _Optional[str] = ..., pairs: _Optional[int] = ..., higher: _Optional[int] = ..., lower: _Optional[int] = ..., equal: _Optional[int] = ..., base_count: _Optional[int] = ..., candidate_count: _Optional[int] = ..., source: _Optional[str] = ..., scorer: _Optional[str] = ..., datasets: _Optional[_Iterable[str]] = ..., changes: _Optional[_Iterable[int]] = ..., change_range: _Optional[float] = ...) -> None: ...

class ConfigurationDifference(_message.Message):
    __slots__ = ("kind", "key", "values")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: str
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...
