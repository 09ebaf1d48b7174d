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
from otel_loggedmodel.store.entering import ENTRY_TYPE, WHOLES, is_last
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

_ENTRIES: Final = f"""\
version, trace, max(s_conversation) AS conversation, countIf(s_entry = 2) AS wanted, groupArray(s_ids) AS ids,
anyIf((s_ids, s_parents, s_starts, s_ends, bitTest(s_used, {FAILED_BIT}), false), s_entry = 2) AS entry,
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
groupArrayIf((s_ids, s_parents, s_origins, s_responses), s_is_calls) AS said_by,
countIf(s_is_calls AND s_kinds IN {SUMS_SQL}) AS sums"""
# Whether a call could be within another, or be stated twice.
_IS_NESTED: Final = """\
calls > 1 AND (sums > 0 OR hasAny(said_by.1, said_by.2)
    OR arrayUniq(arrayMap(one -> bitShiftRight(one, 16), said_by.3)) > 1
    OR arrayUniq(arrayFilter(one -> one != 0, said_by.4)) < arrayCount(one -> one != 0, said_by.4))"""


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
        HAVING {wanted} AND (wanted > 0 OR countIf(s_entry IN (1, 2)) = 0 AND countIf(s_entry = 3) > 0)"""
    entries = f"version, trace, conversation, CAST([entry] AS {ENTRY_TYPE}) AS entries"
    is_entangled = "is_broken OR arrayUniq(ids) < length(ids)"
    if not with_usage:
        return f"SELECT {entries}, toUInt8({is_entangled}) AS is_entangled FROM ({grouped})"
    return f"""
        SELECT {entries}, input, output, cache_read, cache_write, reasoning, cost, said, priced, unpriced,
            if(entry.5, 0, silent) AS unsaid, unsaid_embeddings, uncached, uncosted,
            calls = 0 AND agents > 0 AND NOT entry.5 AS mute, odd, calls, failed_calls,
            greatest(served_tools, tools - served_tools) AS tool_calls,
            toUInt64(0) AS doubled, chunks, toUInt8({is_entangled} OR {_IS_NESTED}) AS is_entangled
        FROM ({grouped})"""
