# SPDX-License-Identifier: Apache-2.0
"""The steps of SQL that find the entry spans of a trace that count, and whether they failed.

Parent ids decide what is inside of what, and time only where a parent is not there:

- a span without a parent contains every other span of its trace. Of a version that has one, the others are inside of
  it, whatever their clocks say;
- else an entry span is inside of another that is its parent, or that takes all of its time.

A trace of which no entry span is stored is one all the same: what is stored of it begins with a span whose parent is
not there, and the earliest of these stands for the trace, marked as cut off. When the entry span comes, it takes its
place.

Some instrumentations end the root of a run that failed as if all was well. So an entry span that is no server's has
failed, too, when by the same instrumentation an agent inside of it has, or whatever else contains something that
failed, and nothing came after it that went well, as what a retry heals does. A call of a model that fails alone is no
such thing: many an application has an answer to that.

Comparing each entry span with each takes the square of their number in memory. Where a version has very many in one
trace, only parent ids decide, and each has failed where it says so itself. Of very many failures, the last are looked
at.
"""

from typing import Final

from otel_loggedmodel.conventions.things import Kind
from otel_loggedmodel.store.call_column import COST_BIT, FAILED_BIT, SERVED_BIT, TOKENS_BIT
from otel_loggedmodel.store.conventions_sql import KINDS

ENTRY_TYPE: Final = "Array(Tuple(id UInt64, parent UInt64, start Int64, end Int64, failed Bool, cut_off Bool))"
# Of entry spans in a trace, up to which each may be compared with each; and of pairs of a failure and another span.
_MOST_COMPARED: Final = 1000
_MOST_PAIRS: Final = 1_000_000
# The key of a span that has no parent.
NO_PARENT: Final = "cityHash64('')"


def numbers(*kinds: Kind) -> str:
    """The numbers of kinds of work, for IN."""
    return f"({', '.join(str(KINDS.index(kind) + 1) for kind in kinds)})"


_SAYS: Final = (1 << TOKENS_BIT) | (1 << COST_BIT)
WHOLES: Final = numbers(Kind.AGENT, Kind.CHAIN)
_HEALS: Final = numbers(Kind.LLM, Kind.EMBEDDING, Kind.AGENT, Kind.CHAIN, Kind.TOOL)
# What failed as a whole, an agent or whatever else an error went through, and was not made good.
_UNHEALED: Final = f"""\
arrayFilter(bad -> (kinds[bad] IN {WHOLES} OR kinds[bad] = 0 AND bitAnd(used[bad], {_SAYS}) = 0 AND arrayExists(
    other -> other != bad AND starts[other] >= starts[bad] AND ends[other] <= ends[bad], failures)) AND NOT arrayExists(
    (place, used, kind, start, end, parent) -> NOT bitTest(used, {FAILED_BIT}) AND kind IN {_HEALS} AND end > ends[bad]
        AND (start > starts[bad] OR parent = parents[bad] AND place != bad), n, used, kinds, starts, ends, parents),
    failures)"""

# Arrays of one length have what there is of the spans of a trace; what else is in lists are places in these. A copy of
# a span stays in them, as nothing.
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
    AND is_entry IN (0, 3), n, used, entry)), 1, 1 + intDiv({_MOST_PAIRS}, length(ids))) AS failures""",
    # In a trace with many entry spans, numbers that an id shares with equal ones: those of the spans, then of parents.
    f"""\
*, if(length(wanted) > {_MOST_COMPARED}, arrayEnumerateDense(arrayConcat(
    arrayFilter((id, one) -> one = 2, ids, entry),
    arrayFilter((parent, one) -> one = 2, parents, entry))), []) AS dense""",
    f"""\
*, arrayFilter(place -> parents[place] = {NO_PARENT}, if(length(wanted) < 2, [], wanted)) AS roots,
arraySlice(arraySort(place -> (starts[place], -ends[place]), arrayFilter(
    (place, one, parent) -> one = 3 AND NOT has(ids, parent),
    if(has_entry, [], n), if(has_entry, [], entry), if(has_entry, [], parents))), 1, 1) AS cut,
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
