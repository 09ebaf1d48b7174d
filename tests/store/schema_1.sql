-- What release 0.1.0 made with schema 1, by `otel-loggedmodel store prepare --dry-run`; a store like this has to go on working.
CREATE TABLE IF NOT EXISTS otel_traces (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = MergeTree()
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts (
    TraceId String CODEC(ZSTD(1)),
    Start DateTime CODEC(Delta, ZSTD(1)),
    End DateTime CODEC(Delta, ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree()
PARTITION BY toDate(Start)
ORDER BY (TraceId, Start)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts
AS SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId;

ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS LoggedModelId LowCardinality(String) MATERIALIZED if(SpanAttributes['logged_model.id'] != '' OR SpanAttributes['logged_model.event'] != '' OR SpanName = 'gen_ai.evaluation.result', SpanAttributes['logged_model.id'], ResourceAttributes['logged_model.id']) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelRole Enum8('none' = 0, 'span' = 1, 'entry' = 2, 'record' = 3, 'evaluation' = 4) MATERIALIZED multiIf(SpanAttributes['logged_model.event'] != '', 'record', SpanName = 'gen_ai.evaluation.result', 'evaluation', LoggedModelId = '', 'none', ParentSpanId = '' OR SpanKind IN ('Server', 'Consumer', 'SPAN_KIND_SERVER', 'SPAN_KIND_CONSUMER') OR SpanAttributes['logged_model.name'] != '' OR arrayExists(link -> link['logged_model.id'] != '', `Links.Attributes`), 'entry', 'span') COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelName LowCardinality(String) MATERIALIZED multiIf(LoggedModelRole != 'entry', '', SpanAttributes['logged_model.name'] != '', SpanAttributes['logged_model.name'], LoggedModelId = ResourceAttributes['logged_model.id'], ResourceAttributes['logged_model.name'], '') COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelUsage UInt8 MATERIALIZED if(LoggedModelRole IN ('span', 'entry'), bitOr(bitShiftLeft(coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.input_tokens']), toUInt64OrNull(SpanAttributes['gen_ai.usage.prompt_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.prompt']), NULL) IS NOT NULL OR coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.output_tokens']), toUInt64OrNull(SpanAttributes['gen_ai.usage.completion_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.completion']), NULL) IS NOT NULL, 0), bitShiftLeft(coalesce(toFloat64OrNull(SpanAttributes['gen_ai.usage.cost']), toFloat64OrNull(SpanAttributes['llm.cost.total']), toFloat64OrNull(SpanAttributes['operation.cost']), JSONExtract(SpanAttributes['mlflow.llm.cost'], 'total_cost', 'Nullable(Float64)')) IS NOT NULL, 1)), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelInputTokens UInt64 MATERIALIZED ifNull(coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.input_tokens']), toUInt64OrNull(SpanAttributes['gen_ai.usage.prompt_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.prompt']), NULL), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelOutputTokens UInt64 MATERIALIZED ifNull(coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.output_tokens']), toUInt64OrNull(SpanAttributes['gen_ai.usage.completion_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.completion']), NULL), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelCacheReadTokens UInt64 MATERIALIZED ifNull(coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.cache_read.input_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.prompt_details.cache_read']), NULL), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelCacheWriteTokens UInt64 MATERIALIZED ifNull(coalesce(toUInt64OrNull(SpanAttributes['gen_ai.usage.cache_creation.input_tokens']), toUInt64OrNull(SpanAttributes['llm.token_count.prompt_details.cache_write']), NULL), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelCost Float64 MATERIALIZED ifNull(coalesce(toFloat64OrNull(SpanAttributes['gen_ai.usage.cost']), toFloat64OrNull(SpanAttributes['llm.cost.total']), toFloat64OrNull(SpanAttributes['operation.cost']), JSONExtract(SpanAttributes['mlflow.llm.cost'], 'total_cost', 'Nullable(Float64)')), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelLlm LowCardinality(String) MATERIALIZED if(bitTest(LoggedModelUsage, 0), concat(multiIf(SpanAttributes['gen_ai.provider.name'] != '', SpanAttributes['gen_ai.provider.name'], SpanAttributes['gen_ai.system'] != '', SpanAttributes['gen_ai.system'], SpanAttributes['llm.provider'] != '', SpanAttributes['llm.provider'], SpanAttributes['llm.system']), '/', multiIf(SpanAttributes['gen_ai.response.model'] != '', SpanAttributes['gen_ai.response.model'], SpanAttributes['gen_ai.request.model'] != '', SpanAttributes['gen_ai.request.model'], SpanAttributes['llm.model_name'] != '', SpanAttributes['llm.model_name'], SpanAttributes['embedding.model_name'])), '') COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelIsSum Bool MATERIALIZED SpanAttributes['gen_ai.operation.name'] IN ('invoke_agent', 'create_agent', 'invoke_workflow', 'execute_tool') OR SpanAttributes['openinference.span.kind'] IN ('AGENT', 'CHAIN', 'TOOL', 'RETRIEVER', 'GUARDRAIL', 'EVALUATOR') OR SpanAttributes['traceloop.span.kind'] IN ('workflow', 'task', 'agent', 'tool') COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelTraceKey UInt64 MATERIALIZED if(LoggedModelRole = 'entry' OR LoggedModelUsage != 0, cityHash64(TraceId), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelSpanKey UInt64 MATERIALIZED if(LoggedModelRole = 'entry' OR LoggedModelUsage != 0, cityHash64(SpanId), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelParentKey UInt64 MATERIALIZED if(LoggedModelRole = 'entry' OR LoggedModelUsage != 0, cityHash64(ParentSpanId), 0) COMMENT 'otel-loggedmodel schema 1',
    ADD COLUMN IF NOT EXISTS LoggedModelHasScores Bool MATERIALIZED has(`Events.Name`, 'gen_ai.evaluation.result') COMMENT 'otel-loggedmodel schema 1';
