# SPDX-License-Identifier: Apache-2.0
"""Stores with two evaluations of one data set, which ClickHouse itself makes: of each row a call, and a result on it.

The rows are those of two versions, and of two runs of these. Where a build knows no runs, they are the versions' alone.
"""

import pathlib
import time

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

# What an earlier commit of this repository has under another name is looked for there.
try:
    from otel_loggedmodel.versions import identity, records
    from otel_loggedmodel.versions.model import ModelEvent
except ImportError:
    from otel_loggedmodel.model import ModelEvent  # type: ignore[import-not-found, no-redef, unused-ignore]

    from otel_loggedmodel import identity, records  # type: ignore[attr-defined, no-redef, unused-ignore]
from otel_loggedmodel.store import database as databases
from otel_loggedmodel.store import open_database, prepare
from otel_loggedmodel.store.schema import SPANS as TABLE

NAME = "capitals"
_PARAMS = [{"revision": "1"}, {"revision": "2"}]
VERSIONS = [identity.model_id_of("0", NAME, params=params) for params in _PARAMS]
RUNS = ["1" * 32, "2" * 32]
_DATASET = "0123456789abcdef"
_HOUR_NS = 3600 * 10**9


def fill(directory: pathlib.Path, rows: int) -> None:
    """Make a store with so many rows of each version."""
    url = f"chdb://{directory}"
    begin = time.time_ns() - 24 * _HOUR_NS
    prepare(url)
    database = databases.open_database(url)
    try:
        for place, (version, run) in enumerate(zip(VERSIONS, RUNS, strict=True)):
            database.command(_insert(version, run, place, rows, begin + place * _HOUR_NS))
            database.command(_record(version, run, rows, begin + place * _HOUR_NS))
    finally:
        database.close()
    store = open_database(url)
    try:
        store.writer.insert([_records(begin)])
    finally:
        store.close()


def _insert(version: str, run: str, place: int, rows: int, begin_ns: int) -> str:
    of_row = (
        f"'logged_model.id', '{version}', 'logged_model.evaluation.dataset', '{_DATASET}',"
        f" 'logged_model.evaluation.dataset_name', 'capitals', 'logged_model.evaluation.row', row,"
        f" 'logged_model.evaluation.run', '{run}', 'logged_model.evaluation.run_name', 'run-{place}'"
    )
    return f"""
INSERT INTO {TABLE} (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    ScopeVersion, SpanAttributes, Duration, StatusCode,
    `Links.TraceId`, `Links.SpanId`, `Links.TraceState`, `Links.Attributes`
)
WITH intDiv(number, 2) AS at, number % 2 = 1 AS is_result, lower(hex(cityHash64(at))) AS row,
    lower(hex(cityHash64(at, {place}, 'span'))) AS entry, cityHash64(at, {place}) AS noise
SELECT
    fromUnixTimestamp64Nano(toInt64({begin_ns} + at * 1000000 + is_result * 900000)),
    lower(hex(sipHash128(at, {place}))),
    if(is_result, lower(hex(cityHash64(at, {place}, 'result'))), entry),
    if(is_result, entry, ''),
    if(is_result, 'gen_ai.evaluation.result', 'answer'),
    'Internal', 'benchmarks', map('service.name', 'benchmarks'), 'otel_loggedmodel.genai', '1',
    if(is_result,
        map({of_row}, 'gen_ai.evaluation.name', 'exact', 'logged_model.evaluation.scorer', 'fedcba9876543210',
            'logged_model.evaluation.source', 'code', 'sampling.priority', '1',
            'gen_ai.evaluation.score.value', toString(noise % 100 < {80 + place}),
            'gen_ai.evaluation.score.label', if(noise % 100 < {80 + place}, 'pass', 'fail')),
        map({of_row}, 'logged_model.name', '{NAME}', 'input.value', concat('question ', row),
            'output.value', concat('answer ', hex(noise)), 'logged_model.evaluation.expected', 'answer',
            'gen_ai.usage.input_tokens', toString(100 + noise % 100),
            'gen_ai.usage.output_tokens', toString(10 + noise % 40))),
    if(is_result, 1000, toUInt64(exp(randNormal(0, 0.5)) * 800e6)),
    'Unset',
    if(is_result, [], [substring('{version}', 3)]), if(is_result, [], ['0123456789abcdef']),
    if(is_result, [], ['']), if(is_result, [], [map('logged_model.id', '{version}')])
FROM numbers({2 * rows})"""


def _record(version: str, run: str, rows: int, begin_ns: int) -> str:
    """The record that a run has ended."""
    return f"""
INSERT INTO {TABLE} (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ScopeName, SpanAttributes, Duration,
    StatusCode
)
SELECT fromUnixTimestamp64Nano(toInt64({begin_ns})), '{run}', '{run[:16]}', '', 'logged_model.run', 'Internal',
    'benchmarks', 'otel_loggedmodel.genai',
    map('logged_model.event', 'run', 'logged_model.id', '{version}', 'logged_model.evaluation.run', '{run}',
        'logged_model.evaluation.run_name', 'run-{run[:1]}', 'logged_model.evaluation.dataset', '{_DATASET}',
        'logged_model.evaluation.dataset_name', 'capitals', 'logged_model.run.status', 'FINISHED',
        'logged_model.run.started_at', '{begin_ns // 1_000_000}', 'logged_model.run.rows', '{rows}',
        'logged_model.run.rows_failed', '0', 'logged_model.run.rows_total', '{rows}'),
    {rows} * 1000000, 'Unset'"""


def _records(time_ns: int) -> bytes:
    events = [
        ModelEvent(
            kind="created", model_id=version, time_ns=time_ns + number, name=NAME, experiment_id="0", params=params
        )
        for number, (version, params) in enumerate(zip(VERSIONS, _PARAMS, strict=True))
    ]
    return encode_spans([records.span_of(event, Resource({})) for event in events]).SerializeToString()
