# SPDX-License-Identifier: Apache-2.0
"""Stores of ours with many spans, which ClickHouse itself makes, as sending them would take long.

A week of traces of ten spans, of twenty versions: a server's entry span with the version's name and link, two calls of
a priced model, and seven others; nine to fifteen attributes each. One trace of fifty fails, and latencies are
log-normal, a hundredth higher for each version than for the one before it. No two spans have the same values.
"""

import pathlib
import sys
import time

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from benchmarks.isolated import in_fresh_process
from otel_loggedmodel.store import database as databases
from otel_loggedmodel.store import open_database, prepare
from otel_loggedmodel.store.schema import SPANS as TABLE
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import ModelEvent

SPANS_PER_TRACE = 10
NAME = "support-agent"
_PARAMS = [{"model": "gpt-4o", "revision": str(number)} for number in range(20)]
VERSIONS = [identity.model_id_of("0", NAME, params=params) for params in _PARAMS]

_BATCH = 500_000
_WEEK_NS = 7 * 86400 * 10**9


def fill(directory: pathlib.Path, spans: int) -> None:
    """Make a store with so many spans, and the records of the versions."""
    in_fresh_process(_fill, directory, spans)


def _fill(directory: pathlib.Path, spans: int) -> None:
    url = f"chdb://{directory}"
    begin = time.time_ns() - _WEEK_NS
    prepare(url)
    database = databases.open_database(url)
    try:
        step = _WEEK_NS // (spans // SPANS_PER_TRACE)
        for first in range(0, spans, _BATCH):
            count = min(_BATCH, spans - first)
            database.command(_insert(first, count, begin, step))
            print(f"  {first + count:,} of {spans:,} spans are made", file=sys.stderr, flush=True)
    finally:
        database.close()
    store = open_database(url)
    try:
        store.writer.insert([_records(begin)])
    finally:
        store.close()


def _insert(first: int, count: int, begin_ns: int, step_ns: int) -> str:
    return f"""
INSERT INTO {TABLE} (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    ScopeVersion, SpanAttributes, Duration, StatusCode,
    `Links.TraceId`, `Links.SpanId`, `Links.TraceState`, `Links.Attributes`
)
WITH
    intDiv(number, {SPANS_PER_TRACE}) AS trace, number % {SPANS_PER_TRACE} AS place, place = 0 AS is_entry,
    place IN (2, 6) AS is_call, cityHash64(number) AS noise, cityHash64(trace) AS trace_noise,
    trace_noise % {len(VERSIONS)} AS revision, {VERSIONS}[revision + 1] AS version
SELECT
    fromUnixTimestamp64Nano(toInt64({begin_ns} + trace * {step_ns} + trace_noise % {step_ns} + place * 1000000)),
    lower(hex(sipHash128(trace))),
    lower(hex(cityHash64(trace, place))),
    if(is_entry, '', lower(hex(cityHash64(trace, 0)))),
    ['POST /chat', 'retrieve', 'chat gpt-4o', 'search', 'fetch', 'rerank', 'chat gpt-4o', 'parse', 'render', 'log'][
        place + 1],
    if(is_entry, 'Server', if(is_call, 'Client', 'Internal')),
    'support-agent',
    map('service.name', 'support-agent', 'service.version', '2.3.1', 'deployment.environment.name', 'production',
        'host.name', 'worker-17', 'telemetry.sdk.language', 'python'),
    'benchmarks', '1',
    mapConcat(
        map('logged_model.id', version, 'app.user', toString(noise % 10000), 'app.region', 'eu-west-1',
            'app.tenant', toString(noise % 300), 'app.build', '2026-06-01', 'app.attempt', '1',
            'app.request', hex(noise), 'app.session', hex(cityHash64(trace, 'session')),
            'app.payload', concat(hex(cityHash64(noise, 1)), hex(cityHash64(noise, 2)))),
        if(is_entry, map('logged_model.name', '{NAME}', 'http.request.method', 'POST', 'http.route', '/chat',
            'http.response.status_code', '200'), map()),
        if(is_call, map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', 'openai',
            'gen_ai.request.model', 'gpt-4o', 'gen_ai.request.temperature', '0.7',
            'gen_ai.usage.input_tokens', toString(1000 + noise % 1000),
            'gen_ai.usage.output_tokens', toString(100 + noise % 400)), map())
    ),
    toUInt64(exp(randNormal(0, 0.5)) * 800e6 * (1 + 0.01 * revision)),
    if(is_entry AND noise % 50 = 0, 'Error', 'Unset'),
    if(is_entry, [substring(version, 3)], []), if(is_entry, ['0123456789abcdef'], []), if(is_entry, [''], []),
    if(is_entry, [map('logged_model.id', version)], [])
FROM numbers({first}, {count})"""


def _records(time_ns: int) -> bytes:
    events = [
        ModelEvent(
            kind="created", model_id=version, time_ns=time_ns + number, name=NAME, experiment_id="0", params=params
        )
        for number, (version, params) in enumerate(zip(VERSIONS, _PARAMS, strict=True))
    ]
    resource = Resource({"service.name": "support-agent"})
    return encode_spans([records.span_of(event, resource) for event in events]).SerializeToString()
