# SPDX-License-Identifier: Apache-2.0
"""What `entering` and `adding` find of plain traces, by sums alone, which takes a fraction of the time.

A trace is plain if it has one entry span, no failure that could make the entry span a failed one, no copy of a span,
and no call that could be within another or be stated twice. All traces are worked out as if they were plain. The column
`is_entangled` marks those that are not.
"""

from typing import Final

from otel_loggedmodel.conventions.things import Kind
from otel_loggedmodel.store.adding import CALLS_SQL, SAYS, SERVES_TOOLS, SUMS_SQL, UNSAID
from otel_loggedmodel.store.call_column import FAILED_BIT, ODD_BIT, TOKENS_BIT, UNCACHED_BIT
from otel_loggedmodel.store.conventions_sql import KINDS
from otel_loggedmodel.store.entering import ENTRY_TYPE, LONE_WANTED, WHOLES, is_last
from otel_loggedmodel.store.schema import call

_EMBEDDING, _AGENT, _TOOL = (KINDS.index(kind) + 1 for kind in (Kind.EMBEDDING, Kind.AGENT, Kind.TOOL))
_IS_CALL: Final = f"s_is_calls AND s_kinds IN {CALLS_SQL}"
_IS_SILENT: Final = f"bitAnd(s_used, {UNSAID}) = 0"

_KIND: Final = f"toUInt8({call('kind')})"
BREAKS: Final = (
    f"LoggedModelRole != 'entry' AND bitTest({call('usage')}, {FAILED_BIT})"
    f" AND ({_KIND} = 0 OR {_KIND} IN {WHOLES} OR {is_last(_KIND, call('origin'))})"
)
"""Whether a span is one whose failure could make the entry span a failed one."""

_IS_ENTRY: Final = "s_entry = 2"
# One aggregate function for each part of the entry span: one for all of them as a tuple would take ten times as long.
_ENTRIES: Final = f"""\
version, trace, max(s_conversation) AS conversation, countIf({_IS_ENTRY}) AS wanted, groupArray(s_ids) AS ids,
anyIf(s_ids, {_IS_ENTRY}) AS entry_id, anyIf(s_parents, {_IS_ENTRY}) AS entry_parent,
anyIf(s_starts, {_IS_ENTRY}) AS earliest, anyIf(s_ends, {_IS_ENTRY}) AS entry_end,
anyIf(bitTest(s_used, {FAILED_BIT}), {_IS_ENTRY}) AS failed,
wanted != 1 OR countIf(bitTest(s_used, {FAILED_BIT}) AND s_entry IN (0, 3) AND (s_kinds = 0 OR s_kinds IN {WHOLES}
    OR {is_last("s_kinds", "s_origins")})) > 0 AS is_broken"""
_USAGE: Final = f"""\
countIf(s_is_calls) AS calls, sumIf(s_inputs, s_is_calls) AS input, sumIf(s_outputs, s_is_calls) AS output,
sumIf(s_reads, s_is_calls) AS cache_read, sumIf(s_writes, s_is_calls) AS cache_write,
sumIf(s_reasonings, s_is_calls) AS reasoning, sumIf(s_costs, s_is_calls AND s_costs > 0) AS cost,
countIf(bitAnd(s_used, {SAYS}) != 0) AS said, countIf(s_is_calls AND s_costs >= 0) AS priced,
countIf(bitTest(s_used, {TOKENS_BIT}) AND s_costs < 0 AND NOT bitTest(s_used, {UNCACHED_BIT})) AS unpriced,
countIf({_IS_CALL} AND {_IS_SILENT}) AS silent,
countIf(s_kinds = {_EMBEDDING} AND {_IS_SILENT}) AS unsaid_embeddings,
countIf(s_is_calls AND bitTest(s_used, {UNCACHED_BIT})) AS uncached,
countIf(s_is_calls AND bitTest(s_used, {UNCACHED_BIT}) AND s_costs < 0) AS uncosted,
countIf(s_kinds = {_AGENT}) AS agents, countIf(bitTest(s_used, {ODD_BIT})) AS odd,
countIf({_IS_CALL} AND bitTest(s_used, {FAILED_BIT})) AS failed_calls, countIf(s_kinds = {_TOOL}) AS tools,
countIf(s_kinds = {_TOOL} AND bitShiftRight(s_origins, 16) IN ({SERVES_TOOLS})) AS served_tools,
groupArrayIf(s_chunks, s_is_calls AND s_chunks > 0) AS chunks,
groupArray(if(s_is_calls, s_parents, 0)) AS uppers,
groupArrayIf(s_responses, s_is_calls AND s_responses != 0) AS responses,
minIf(bitShiftRight(s_origins, 16), s_is_calls) != maxIf(bitShiftRight(s_origins, 16), s_is_calls) AS are_several,
countIf(s_is_calls AND s_kinds IN {SUMS_SQL}) AS sums"""
# Whether a call could be within another, or be stated twice. Spans that are no calls have 0 among `uppers`.
_IS_NESTED: Final = """\
calls > 1 AND (sums > 0 OR are_several OR arrayUniq(responses) < length(responses)
    OR hasAny(arrayFilter((id, upper) -> upper != 0, ids, uppers), uppers))"""


def traces(spans: str, wanted: str, *, with_usage: bool) -> str:
    """One row for each trace, as `measuring.traces` has it, as SQL.

    Args:
        spans: The query of spans.
        wanted: What has to be true of the version of a trace.
        with_usage: Whether tokens and cost are wanted.
    """
    usage = f", {_USAGE}" if with_usage else ""
    grouped = f"""
        SELECT {_ENTRIES}{usage}
        FROM ({spans})
        GROUP BY version, trace
        HAVING {wanted}
            AND (wanted > 0 OR countIf(s_entry IN (1, 2)) = 0 AND countIf(s_entry IN (3, {LONE_WANTED})) > 0)"""
    entries = (
        "version, trace, conversation,"
        f" CAST([(entry_id, entry_parent, earliest, entry_end, failed, false)] AS {ENTRY_TYPE}) AS entries,"
        " toUInt64(1) AS entered, toUInt64(failed) AS failures, toUInt64(0) AS cut_off, earliest, earliest AS latest,"
        " entry_end - earliest AS spent, [entry_end - earliest] AS took"
    )
    is_entangled = "is_broken OR arrayUniq(ids) < length(ids)"
    if not with_usage:
        return f"SELECT {entries}, toUInt8({is_entangled}) AS is_entangled FROM ({grouped})"
    return f"""
        SELECT {entries}, input, output, cache_read, cache_write, reasoning, cost, said, priced, unpriced,
            if(failed, 0, silent) AS unsaid, unsaid_embeddings, uncached, uncosted,
            calls = 0 AND agents > 0 AND NOT failed AS mute, odd, calls, failed_calls,
            greatest(served_tools, tools - served_tools) AS tool_calls,
            toUInt64(0) AS doubled, chunks, toUInt8({is_entangled} OR {_IS_NESTED}) AS is_entangled
        FROM ({grouped})"""
