# SPDX-License-Identifier: Apache-2.0
"""The steps of SQL that find the entry spans of a trace that count, and whether they failed.

Parent ids decide what is inside of what, and time only where a parent is not there:

- a span without a parent contains every other span of its trace. If a version has such an entry span, its other entry
  spans are inside of it, whatever their clocks say;
- else an entry span is inside of another one that is its parent, or that takes all of its time and has another parent.

A trace counts even if none of its entry spans is stored. The earliest span that counts and whose parent does not then
stands for the trace, and the trace is marked as cut off. If no span counts, the earliest of all stands for it. Which
one it is does not depend on what is asked for: else the trace would be in two periods. When the entry span arrives, it
takes the place of that span. Where something was built or a notification was handled, and no span counts, there is no
trace.

Some instrumentations end the root of a failed run as if all was well. So an entry span that is no server's has failed,
too, if something inside of it failed as a whole, by the same instrumentation, and nothing that went well came after it,
as after a retry. An agent or a chain that failed has failed as a whole. So has any other span that says no kind of work
and contains a failure. A call of a model that failed is not enough: many applications can do without its answer. It is
enough for instrumentations whose agents never fail by themselves.

Comparing every entry span with every other takes memory in the square of their number. Where a version has very many in
one trace, only parent ids decide, and an entry span has failed only if it says so itself. If there are very many
failures, only the last are looked at.
"""

from typing import Final

from otel_loggedmodel.conventions import scopes
from otel_loggedmodel.conventions.things import Kind
from otel_loggedmodel.store.call_column import COST_BIT, FAILED_BIT, SERVED_BIT, TOKENS_BIT
from otel_loggedmodel.store.conventions_sql import KINDS, codes

ENTRY_TYPE: Final = "Array(Tuple(id UInt64, parent UInt64, start Int64, end Int64, failed Bool, cut_off Bool))"
# What follows from `entries`. Traces with one entry span have it without an array, in `plain`.
SUMMED: Final = {
    "entered": "length(entries)",
    "failures": "toUInt64(arrayCount(entries.failed))",
    "cut_off": "toUInt64(arrayCount(entries.cut_off))",
    "earliest": "arrayMin(entries.start)",
    "latest": "arrayMax(entries.start)",
    "spent": "arraySum(entries.end) - arraySum(entries.start)",
    "took": "arrayMap((start, end) -> end - start, entries.start, entries.end)",
}
# The most entry spans of a trace that are compared with each other, and the most pairs of a failure and another span.
_MOST_COMPARED: Final = 1000
_MOST_PAIRS: Final = 1_000_000
# From here on, `entry` is that of a span that does not count by itself (`counted`).
LONE: Final = 4
# Of one that may stand for its trace, and was asked for.
LONE_WANTED: Final = 5
# From here on, of one that builds something.
BUILDING: Final = 6
# The key of a span that has no parent.
NO_PARENT: Final = "cityHash64('')"


def numbers(*kinds: Kind) -> str:
    """The numbers of kinds of work, for IN."""
    return f"({', '.join(str(KINDS.index(kind) + 1) for kind in kinds)})"


def is_last(kind: str, origin: str) -> str:
    """The condition that a call of a model is by an instrumentation whose agents fail if their last call does.

    Args:
        kind: The kind of work of the span, as SQL.
        origin: Its part `origin`, as SQL.
    """
    named = codes(scopes.WITH_FAILED_CALLS_ALONE)
    return f"{kind} = {KINDS.index(Kind.LLM) + 1} AND bitShiftRight({origin}, 16) IN ({named})"


_SAYS: Final = (1 << TOKENS_BIT) | (1 << COST_BIT)
WHOLES: Final = numbers(Kind.AGENT, Kind.CHAIN)
_HEALS: Final = numbers(Kind.LLM, Kind.EMBEDDING, Kind.AGENT, Kind.CHAIN, Kind.TOOL)
# Spans that failed as a whole (an agent, a chain, or another span that an error went through) and were not made good.
_UNHEALED: Final = f"""\
arrayFilter(bad -> (kinds[bad] IN {WHOLES} OR {is_last("kinds[bad]", "origins[bad]")}
    OR kinds[bad] = 0 AND bitAnd(used[bad], {_SAYS}) = 0 AND arrayExists(
    other -> other != bad AND starts[other] >= starts[bad] AND ends[other] <= ends[bad], failures)) AND NOT arrayExists(
    (place, used, kind, start, end, parent) -> NOT bitTest(used, {FAILED_BIT}) AND kind IN {_HEALS} AND end > ends[bad]
        AND (start > starts[bad] OR parent = parents[bad] AND place != bad), n, used, kinds, starts, ends, parents),
    failures)"""

# Arrays of equal length hold the columns of a trace's spans; the other arrays hold places in these. A copy of a span
# stays in them, but is no entry span, has no kind and says nothing.
ENTRIES: Final = (
    # Looking for copies here is quicker than an aggregate function that keeps a set for each trace.
    """\
*, arrayEnumerate(ids) AS n, if(arrayUniq(ids) = length(ids), [], arrayEnumerateUniq(arrayMap(
    (id, start, end) -> cityHash64(id, start, end), ids, starts, ends))) AS times""",
    """\
* EXCEPT times REPLACE (
    if(empty(times), entry, arrayMap((one, time) -> if(time = 1, one, 0), entry, times)) AS entry,
    if(empty(times), kinds, arrayMap((one, time) -> if(time = 1, one, 0), kinds, times)) AS kinds,
    if(empty(times), used, arrayMap((one, time) -> if(time = 1, one, 0), used, times)) AS used)""",
    f"""\
*, arrayFilter((place, one) -> one = 2, n, entry) AS wanted, has(entry, 1) OR has(entry, 2) AS has_entry,
arraySlice(arrayReverseSort(place -> ends[place], arrayFilter((place, one, is_entry) -> bitTest(one, {FAILED_BIT})
    AND is_entry IN (0, 3), n, used, entry)), 1, 1 + intDiv({_MOST_PAIRS}, greatest(1, length(ids)))) AS failures""",
    # In a trace with many entry spans, ids are replaced by numbers: equal ids have the same. Parents' ids come last.
    f"""\
*, if(length(wanted) > {_MOST_COMPARED}, arrayEnumerateDense(arrayConcat(
    arrayFilter((id, one) -> one = 2, ids, entry),
    arrayFilter((parent, one) -> one = 2, parents, entry))), []) AS dense""",
    f"""\
*, arrayFilter(place -> parents[place] = {NO_PARENT}, if(length(wanted) < 2, [], wanted)) AS roots,
arrayFilter(place -> entry[place] = 3, arraySlice(arraySort(
    place -> (starts[place], -ends[place], ids[place], -toInt8(entry[place])), arrayFilter((place, parent) ->
        NOT has(ids, parent), if(has_entry, [], n), if(has_entry, [], parents))), 1, 1)) AS cut,
{_UNHEALED} AS unhealed, arrayMax(arrayPushBack(arraySlice(dense, 1, length(wanted)), 0)) AS last""",
    """\
* EXCEPT (wanted, has_entry, roots, failures, dense, last) REPLACE (if(empty(dense), unhealed, []) AS unhealed),
multiIf(length(wanted) < 2, arrayConcat(wanted, cut), notEmpty(roots), roots, notEmpty(dense), arrayFilter(
    (place, number, parent) -> parent > last OR parent = number, if(empty(dense), [], wanted),
    if(empty(dense), [], arraySlice(dense, 1, length(wanted))), arraySlice(dense, 1 + length(wanted))), arrayFilter(
    inner -> NOT arrayExists(
        outer -> ids[outer] = parents[inner] AND outer != inner
            OR starts[outer] <= starts[inner] AND ends[outer] >= ends[inner] AND parents[outer] != parents[inner]
            AND (starts[outer] < starts[inner] OR ends[outer] > ends[inner]),
        wanted),
    if(length(wanted) < 2 OR notEmpty(roots) OR notEmpty(dense), [], wanted))) AS counted""",
    f"""\
* EXCEPT (counted, cut, unhealed), CAST(arrayMap(place -> (
    ids[place], parents[place], starts[place], ends[place],
    bitTest(used[place], {FAILED_BIT}) OR notEmpty(unhealed) AND NOT bitTest(used[place], {SERVED_BIT}) AND arrayExists(
        bad -> bitShiftRight(origins[bad], 16) = bitShiftRight(origins[place], 16)
            AND starts[bad] BETWEEN starts[place] AND ends[place], unhealed),
    notEmpty(cut)), counted) AS {ENTRY_TYPE}) AS entries""",
)

# Of the spans of a trace that do not count by themselves: the one that would stand for it, and its `entry`. It is one
# that builds something, if there is such a one.
STAND_IN: Final = f"""\
minIf((if(s_entry >= {BUILDING}, {-(1 << 63)}, s_starts), -s_ends, s_ids, s_parents, s_entry), s_entry >= {LONE})
    AS stand_in"""
STEP_IN: Final = f"""\
* EXCEPT stand_in REPLACE (if(empty(ids) AND stand_in.5 = {LONE_WANTED}, CAST([(
    stand_in.3, stand_in.4, stand_in.1, -stand_in.2, false, true)] AS {ENTRY_TYPE}), entries) AS entries)"""
