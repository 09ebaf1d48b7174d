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
"""

from typing import Final

from otel_loggedmodel.conventions.things import Kind
from otel_loggedmodel.store.call_column import COST_BIT, FAILED_BIT, SERVED_BIT, TOKENS_BIT
from otel_loggedmodel.store.conventions_sql import KINDS

_ENTRY_TYPE: Final = "Array(Tuple(id UInt64, parent UInt64, start Int64, end Int64, failed Bool, cut_off Bool))"
# The key of a span that has no parent.
NO_PARENT: Final = "cityHash64('')"


def numbers(*kinds: Kind) -> str:
    """The numbers of kinds of work, for IN."""
    return f"({', '.join(str(KINDS.index(kind) + 1) for kind in kinds)})"


_SAYS: Final = (1 << TOKENS_BIT) | (1 << COST_BIT)
_WHOLES: Final = numbers(Kind.AGENT, Kind.CHAIN)
_HEALS: Final = numbers(Kind.LLM, Kind.EMBEDDING, Kind.AGENT, Kind.CHAIN, Kind.TOOL)
# What failed as a whole, an agent or whatever else an error went through, and was not made good.
_UNHEALED: Final = f"""\
arrayFilter(bad -> (kinds[bad] IN {_WHOLES} OR kinds[bad] = 0 AND bitAnd(used[bad], {_SAYS}) = 0 AND arrayExists(
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
arrayFilter((place, one, is_entry) -> bitTest(one, {FAILED_BIT}) AND is_entry IN (0, 3), n, used, entry) AS failures""",
    f"""\
*, arrayFilter(place -> parents[place] = {NO_PARENT}, if(length(wanted) < 2, [], wanted)) AS roots,
arraySlice(arraySort(place -> (starts[place], -ends[place]), arrayFilter(
    (place, one, parent) -> one = 3 AND NOT has(ids, parent),
    if(has_entry, [], n), if(has_entry, [], entry), if(has_entry, [], parents))), 1, 1) AS cut,
{_UNHEALED} AS unhealed""",
    """\
* EXCEPT (wanted, has_entry, roots, failures), multiIf(
    length(wanted) < 2, arrayConcat(wanted, cut), notEmpty(roots), roots, arrayFilter(
    inner -> NOT arrayExists(
        outer -> ids[outer] = parents[inner] AND outer != inner
            OR starts[outer] <= starts[inner] AND ends[outer] >= ends[inner] AND parents[outer] != parents[inner]
            AND (starts[outer] < starts[inner] OR ends[outer] > ends[inner]),
        wanted),
    if(length(wanted) < 2 OR notEmpty(roots), [], wanted))) AS counted""",
    f"""\
* EXCEPT (counted, cut, unhealed), CAST(arrayMap(place -> (ids[place], parents[place], starts[place], ends[place],
    bitTest(used[place], {FAILED_BIT}) OR notEmpty(unhealed) AND NOT bitTest(used[place], {SERVED_BIT}) AND arrayExists(
        bad -> bitShiftRight(origins[bad], 16) = bitShiftRight(origins[place], 16)
            AND starts[bad] BETWEEN starts[place] AND ends[place], unhealed),
    notEmpty(cut)), counted) AS {_ENTRY_TYPE}) AS entries""",
)
