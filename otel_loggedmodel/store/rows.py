# SPDX-License-Identifier: Apache-2.0
"""The rows of a data set on which two versions differ most: what was asked and answered, and in which traces."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from otel_loggedmodel.attributes import (
    EVALUATION_EXPECTED,
    EVALUATION_EXPLANATION,
    EVALUATION_LABEL,
    EVALUATION_TURNS,
    EXPECTATION,
    EXPECTATION_VALUE,
)
from otel_loggedmodel.conventions.messages import transcripts, values
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store import conventions_sql, log_messages, schema, tries
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.reading import ROW_CHANGES, ReadingError, RowFilter
from otel_loggedmodel.store.row_results import RowChange, RowResult
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.score_comparison import Match, Pair
from otel_loggedmodel.store.scores import results

# Longer texts are cut off; the trace has them whole.
MAX_CHARACTERS: Final = 4000
_INPUT: Final = conventions_sql.raw_text(Thing.INPUT, Thing.INPUT_MESSAGES)
_OUTPUT: Final = conventions_sql.raw_text(Thing.OUTPUT, Thing.OUTPUT_MESSAGES)
_ROUNDING: Final = 1e-12
_AT_ONCE: Final = 1000

T = TypeVar("T")
# Version, name, source and scorer, data set, hash of the row's key.
_Key = tuple[str, str, tuple[str, str], str, int]


def changed(
    database: Database, scope: Scope, base: str, matches: Mapping[str, Mapping[str, Match]], which: RowFilter
) -> list[RowChange]:
    """The rows that changed most, by version, evaluation and size of the change.

    Args:
        database: Where.
        scope: Which versions, and which of their traces.
        base: Id of the first version.
        matches: What is compared of each other version, by its id and the name of the evaluation.
        which: Which rows.

    Raises:
        ReadingError: There is no such evaluation, or kind of change.
    """
    if which.change not in (None, *ROW_CHANGES):
        raise ReadingError(f"rows cannot be chosen by {which.change!r}: use one of {', '.join(ROW_CHANGES)}")
    names = {name for found in matches.values() for name in found}
    if which.score is not None and which.score not in names:
        there_are = ", ".join(sorted(names)) or "none"
        raise ReadingError(f"these versions have no score {which.score!r}; there are: {there_are}")
    chosen = [
        (candidate, name, match, pair)
        for candidate, found in matches.items()
        for name, match in found.items()
        if which.score in {None, name}
        for pair in _most_changed(match.pairs, which)
    ]
    if which.with_others:
        chosen += _others(matches, chosen)
    if not chosen:
        return []
    told: dict[_Key, dict[str, Any]] = {}
    runs = _runs(match for found in matches.values() for match in found.values())
    for part in _parts(sorted({(name, pair.row) for _, name, _, pair in chosen})):
        told |= _told(database, scope, part, runs)
    texts: dict[str, list[tuple[str, str, str]]] = {}
    wanted: dict[str, str] = {}
    for ids in _parts(sorted({row["trace_id"] for row in told.values()})):
        texts |= _texts(database, ids)
        wanted |= _expected(database, ids)
    held = _conversations(database, told.values())
    silent = [row["trace_id"] for row in told.values() if not row["turns"] and not all(_text_of(texts, row))]
    logged = {
        trace_id: exchange
        for ids in _parts(sorted(set(silent)))
        for trace_id, exchange in log_messages.exchanges(database, ids).items()
    }
    changes = []
    for candidate, name, match, pair in chosen:
        kind = match.kind or ("", "")
        before = told[base, name, kind, pair.datasets[0], pair.row]
        after = told[candidate, name, kind, pair.datasets[1], pair.row]
        (asked, answer_before), (asked_after, answer_after) = (
            held.get(row["turns"]) or _with_logged(_text_of(texts, row), logged.get(row["trace_id"]), row["span_id"])
            for row in (before, after)
        )
        changes.append(
            RowChange(
                model_id=candidate,
                score=name,
                dataset=pair.datasets[1],
                row=before["row"],
                delta=pair.candidate - pair.base,
                input=asked or asked_after or None,
                expected=wanted.get(after["trace_id"]) or wanted.get(before["trace_id"]),
                base=_result(before, pair.base, answer_before),
                candidate=_result(after, pair.candidate, answer_after),
            )
        )
    return changes


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in parts that are small enough for the parameters of one query, which go into a URL."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _others(
    matches: Mapping[str, Mapping[str, Match]], chosen: Sequence[tuple[str, str, Match, Pair]]
) -> list[tuple[str, str, Match, Pair]]:
    """How the chosen rows changed under evaluations that they were not chosen by."""
    has = {(candidate, name, pair.row) for candidate, name, _, pair in chosen}
    wanted = {(candidate, pair.row) for candidate, _, _, pair in chosen}
    return [
        (candidate, name, match, pair)
        for candidate, found in matches.items()
        for name, match in found.items()
        for pair in match.pairs
        if (candidate, pair.row) in wanted and (candidate, name, pair.row) not in has and _changed(pair)
    ]


def _changed(pair: Pair) -> bool:
    return abs(pair.candidate - pair.base) > _ROUNDING


def _most_changed(pairs: Iterable[Pair], which: RowFilter) -> list[Pair]:
    """The rows that changed, the largest change first; if two are equally large, the one that became worse."""

    def key(pair: Pair) -> tuple[float, float, int]:
        delta = round(pair.candidate - pair.base, 12)
        return -abs(delta), delta, pair.row

    wanted = [
        pair
        for pair in pairs
        if _changed(pair) and (which.change is None or (which.change == "higher") == (pair.candidate > pair.base))
    ]
    return sorted(wanted, key=key)[: which.limit]


def _runs(matches: Iterable[Match]) -> list[str]:
    """The runs that count."""
    return sorted({group.run for match in matches for groups in (match.base, match.candidate) for group in groups})


def _told(
    database: Database, scope: Scope, wanted: Sequence[tuple[str, int]], runs: Sequence[str]
) -> dict[_Key, dict[str, Any]]:
    """What was said last of each row, by version, name, who scored, data set and hash of the row's key."""
    found = results(scope)
    if scope.selection.failed_rows == "zero":
        found = tries.with_failed(scope, found)
    of_runs = "" if scope.selection.pools_runs else " AND run IN {runs:Array(String)}"
    rows = database.query(
        f"""
        SELECT version, name, source, scorer, dataset, row, cityHash64(row) AS row_hash, last.1 AS trace_id,
            last.2 AS span_id, last.3 AS label, last.4 AS explanation, last.5 AS turns
        FROM (
            SELECT toString(version) AS version, name, source, scorer, dataset, row,
                argMax((TraceId, judged, attributes['{EVALUATION_LABEL}'],
                    attributes['{EVALUATION_EXPLANATION}'], attributes['{EVALUATION_TURNS}']), (at, TraceId))
                    AS last
            FROM ({found.sql})
            WHERE dataset != '' AND name IN {{wanted_names:Array(String)}}{of_runs}
                AND cityHash64(row) IN {{wanted_rows:Array(UInt64)}}
            GROUP BY version, name, source, scorer, dataset, row
        )""",
        {
            **found.parameters,
            "wanted_names": sorted({name for name, _ in wanted}),
            "wanted_rows": sorted({row for _, row in wanted}),
            "runs": list(runs),
        },
    )
    return {
        (row["version"], row["name"], (row["source"], row["scorer"]), row["dataset"], row["row_hash"]): row
        for row in rows
    }


def _texts(database: Database, trace_ids: Sequence[str]) -> dict[str, list[tuple[str, str, str]]]:
    """Id, input and output of the spans that say them, by trace; the span of the data set's row comes first."""
    rows = database.query(
        f"""
        SELECT TraceId, SpanId, substringUTF8({_INPUT}, 1, {MAX_CHARACTERS}) AS input,
            substringUTF8({_OUTPUT}, 1, {MAX_CHARACTERS}) AS output
        FROM {schema.SPANS}
        WHERE TraceId IN {{trace_ids:Array(String)}} AND (input != '' OR output != '')
        ORDER BY SpanAttributes['logged_model.evaluation.row'] = '', ParentSpanId != '', Timestamp
        LIMIT 1 BY TraceId, SpanId""",
        {"trace_ids": list(trace_ids)},
    )
    found: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        found.setdefault(row["TraceId"], []).append((row["SpanId"], row["input"], row["output"]))
    return found


def _conversations(database: Database, told: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """What the user said in conversations, and what was answered, turn by turn; by their lists of traces."""
    traces = {row["turns"]: _listed(row["turns"]) for row in told if row["turns"]}
    texts: dict[str, list[tuple[str, str, str]]] = {}
    for ids in _parts(sorted({trace_id for found in traces.values() for trace_id in found})):
        texts |= _texts(database, ids)
    found: dict[str, tuple[str, str]] = {}
    for turns, trace_ids in traces.items():
        said = [texts[trace_id][0] for trace_id in trace_ids if texts.get(trace_id)]
        asked = (
            "\n".join(str(one["content"]) for one in transcripts.asked(values.parsed(text))) for _, text, _ in said
        )
        answers = (transcripts.answer(values.parsed(text)) for _, _, text in said)
        found[turns] = (_numbered(asked), _numbered(answers))
    return found


def _numbered(turns: Iterable[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(turns, 1))[:MAX_CHARACTERS]


def _listed(text: str) -> list[str]:
    """The traces that a result lists."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _expected(database: Database, trace_ids: Sequence[str]) -> dict[str, str]:
    """What should come out of each trace: what somebody said of it last, else what its row says."""
    rows = database.query(
        f"""
        SELECT TraceId, substringUTF8(argMax(said, (SpanName = '{EXPECTATION}', Timestamp)), 1, {MAX_CHARACTERS})
            AS expected
        FROM (
            SELECT TraceId, SpanName, Timestamp, if(SpanName = '{EXPECTATION}',
                SpanAttributes['{EXPECTATION_VALUE}'], SpanAttributes['{EVALUATION_EXPECTED}']) AS said
            FROM {schema.SPANS}
            WHERE TraceId IN {{trace_ids:Array(String)}}
        )
        WHERE said != ''
        GROUP BY TraceId""",
        {"trace_ids": list(trace_ids)},
    )
    return {row["TraceId"]: row["expected"] for row in rows}


def _text_of(texts: Mapping[str, Sequence[tuple[str, str, str]]], told: Mapping[str, Any]) -> tuple[str, str]:
    """Input and output of the span that was judged, else of the first that has any."""
    of_trace = texts.get(told["trace_id"], [])
    own = [text for text in of_trace if text[0] == told["span_id"]]
    return (own or of_trace)[0][1:] if of_trace else ("", "")


def _with_logged(texts: tuple[str, str], logged: log_messages.Exchange | None, span_id: str) -> tuple[str, str]:
    """Input and output, each from log records where no span says it: those of the span, else of the trace."""
    if logged is None:
        return texts
    asked, answered = logged.by_span.get(span_id, ("", ""))
    found = (texts[0] or asked or logged.asked, texts[1] or answered or logged.answered)
    return found[0][:MAX_CHARACTERS], found[1][:MAX_CHARACTERS]


def _result(told: Mapping[str, Any], value: float, output: str) -> RowResult:
    return RowResult(
        trace_id=told["trace_id"],
        span_id=told["span_id"],
        value=value,
        label=told["label"] or None,
        explanation=told["explanation"] or None,
        output=output or None,
    )
