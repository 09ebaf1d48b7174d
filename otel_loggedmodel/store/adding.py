# SPDX-License-Identifier: Apache-2.0
"""The steps of SQL that add up the tokens and the cost of a trace, so that each call of a model counts once.

Agents, chains and wrappers repeat what the calls below them used. A span that sums up others counts with the larger of
two numbers: its own, or that of the calls within it. Parent ids tell which calls are within it. Where the parent of a
span is not among those that count, the shortest span that takes all of its time stands for the parent.

Two instrumentations of one call state it twice. Two calls, neither within the other, count once if they have the same
response id and some time in common. They also count once if they are of one model, have the same tokens as far as both
say them, and the middle of the shorter is within the time of the longer. The one that says more counts. If both say as
much, the shorter one counts, which is closer to the network.

Calls by one instrumentation each count, whatever response ids they have: a test double may answer with one id again and
again, and an answer from a cache may be stated as a call. They count once only where one is within the other: a retry
and its last attempt, a client and its proxy. A call that began when the other had ended is not within it.

Comparing every span with every other takes memory in the square of their number. A trace of very many spans is
therefore added up more simply: a call counts unless it is the direct parent of another one, and spans that sum up
others do not count.
"""

from typing import Final

from otel_loggedmodel.conventions import scopes
from otel_loggedmodel.conventions.things import CALLS, Kind
from otel_loggedmodel.store.call_column import COST_BIT, FAILED_BIT, ODD_BIT, TOKENS_BIT, UNCACHED_BIT
from otel_loggedmodel.store.conventions_sql import KINDS, codes
from otel_loggedmodel.store.entering import NO_PARENT, numbers

CALLS_SQL: Final = numbers(*CALLS)
SUMS_SQL: Final = numbers(*(kind for kind in Kind if kind not in (*CALLS, Kind.RERANKER, Kind.REPEAT)))
SAYS: Final = (1 << TOKENS_BIT) | (1 << COST_BIT)
# Up to so many spans and calls in a trace, each is compared with each: some 200 MB.
_MOST_COMPARED: Final = 3000
_MOST_CALLS_COMPARED: Final = 1000
UNSAID: Final = SAYS | (1 << FAILED_BIT)
_TOKENS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")

USAGE: Final = (
    *_TOKENS,
    "cost",
    "said",
    "priced",
    "unpriced",
    "unsaid",
    "unsaid_embeddings",
    "uncached",
    "uncosted",
    "mute",
    "odd",
    "calls",
    "failed_calls",
    "tool_calls",
    "doubled",
    "chunks",
)
"""The columns of each trace: tokens of each kind, `cost` (US dollars; 0 where none is known), and `chunks`, the seconds
until the first part of each streamed answer. `mute` is 1 where there is an agent and no call.

The others are counts. Spans: `said` say tokens or a cost, `odd` say tokens or a cost that cannot be. Calls of models:
`calls` are all of them, `failed_calls` failed, `priced` have a cost, `unpriced` have tokens but no cost, `unsaid` have
neither, `unsaid_embeddings` are those of them that are embeddings and give out no tokens, `uncached` do not tell cached
tokens from others, `uncosted` have no cost for that reason, `doubled` were stated twice. `tool_calls` are calls of
tools."""

UNKNOWN_COST: Final = "(unsaid + unpriced + uncosted)"
"""How many calls of a trace have a cost that is not known."""


# How much a span says, to choose the better one of two: more kinds of tokens come first, then the shorter span.
WORTH: Final = (
    "toInt64(toUInt8(LoggedModelCall.input != 0) + toUInt8(LoggedModelCall.output != 0)"
    " + toUInt8(LoggedModelCall.cache_read != 0) + toUInt8(LoggedModelCall.cache_write != 0))"
    " * 1000000000000000000 - least(toInt64(Duration), 999999999999999999)"
)
_TALLIED: Final = ("inputs", "outputs", "reads", "writes", "reasonings")
_PARTS: Final = (*_TALLIED, "costs")

_ZEROS: Final = f"[{', '.join(['0.'] * len(_PARTS))}]"
# Whether two calls that are neighbours are one.
_SAME_CALL: Final = """\
bitXor(c_origins[pair.1], c_origins[pair.2]) > 65535 AND (
    c_responses[pair.1] != 0 AND c_responses[pair.1] = c_responses[pair.2]
    AND c_starts[pair.1] <= c_ends[pair.2] AND c_starts[pair.2] <= c_ends[pair.1]
    OR bitAnd(bitXor(c_origins[pair.1], c_origins[pair.2]), 65535) = 0
    AND (c_inputs[pair.1] = c_inputs[pair.2] OR least(c_inputs[pair.1], c_inputs[pair.2]) = 0)
    AND (c_outputs[pair.1] = c_outputs[pair.2] OR least(c_outputs[pair.1], c_outputs[pair.2]) = 0)
    AND abs(c_starts[pair.1] + c_ends[pair.1] - c_starts[pair.2] - c_ends[pair.2])
        <= greatest(c_ends[pair.1] - c_starts[pair.1], c_ends[pair.2] - c_starts[pair.2]))"""
_NEAR: Final = 32
SERVES_TOOLS: Final = codes(scopes.SERVING_TOOLS)
"""The hashes of the names of instrumentations of servers that run tools, as SQL."""
# A server may run a tool of which the client has a span, too. The side that states more calls counts.
_IS_TOOL: Final = f"kind = {KINDS.index(Kind.TOOL) + 1}"
_IS_SERVED_TOOL: Final = f"{_IS_TOOL} AND bitShiftRight(origin, 16) IN ({SERVES_TOOLS})"
_IS_OTHER_TOOL: Final = f"{_IS_TOOL} AND bitShiftRight(origin, 16) NOT IN ({SERVES_TOOLS})"
_TOOL_CALLS: Final = f"""\
greatest(arrayCount((kind, origin) -> {_IS_SERVED_TOOL}, kinds, origins),
    arrayCount((kind, origin) -> {_IS_OTHER_TOOL}, kinds, origins))"""


def _neighbours(order: str) -> str:
    """All pairs of values that are at most `_NEAR` places apart in an order, as SQL."""
    return (
        f"arrayFlatten(arrayMap(step -> arrayZip(arraySlice({order}, 1, length({order}) - step),"
        f" arraySlice({order}, step + 1)), range(1, least({_NEAR} + 1, length({order})))))"
    )


# If all entry spans failed, their calls are taken to have failed, too: not every instrumentation marks the call.
_IS_LOST: Final = "notEmpty(entries) AND NOT has(entries.failed, false)"
# Whether a call could be within another, or be stated twice.
_IS_NESTED: Final = f"""\
length(c_starts) > 1 AND (
    arrayExists(kind -> kind IN {SUMS_SQL}, c_kinds) OR hasAny(c_ids, c_parents)
    OR arrayUniq(arrayMap(one -> bitShiftRight(one, 16), c_origins)) > 1
    OR arrayUniq(arrayFilter(one -> one != 0, c_responses)) < arrayCount(one -> one != 0, c_responses)
    OR arrayUniq(c_ids) < length(c_ids))"""

_SUMS: Final = ", ".join(
    [
        *(
            f"if(is_nested, toUInt64(totals[{place}]), arraySum(c_{part})) AS {name}"
            for place, (part, name) in enumerate(zip(_TALLIED, _TOKENS, strict=True), 1)
        ),
        f"if(is_nested, totals[{len(_PARTS)}], arraySum(one -> greatest(0., one), c_costs)) AS cost",
    ]
)

USAGE_STEPS: Final = (
    # Arrays whose names begin with `c_` hold the calls, and other spans that say tokens or a cost.
    f"""\
*, arrayEnumerate(c_starts) AS c_n, {_IS_NESTED} AS is_nested""",
    # In a large trace, ids are replaced by numbers: equal ids have the same. Those of parents come first.
    f"""\
*, is_nested AND length(ids) <= {_MOST_COMPARED} AND length(c_n) <= {_MOST_CALLS_COMPARED} AS is_deep,
is_nested AND NOT is_deep AS is_large,
if(is_large, arrayEnumerateDense(arrayConcat(c_parents, c_ids)), []) AS c_dense""",
    """\
*, arrayMax(arrayPushBack(arraySlice(c_dense, 1, length(c_parents)), 0)) AS last_parent,
-- Parents as places: an id has the number of its place among those that differ.
if(is_deep, arrayFilter((place, time) -> time = 1, n, arrayEnumerateUniq(ids)), []) AS firsts,
if(is_deep, arraySlice(arrayEnumerateDense(arrayConcat(ids, parents)), length(ids) + 1), []) AS dense,
if(is_deep, n, []) AS m, if(is_deep, is_calls, []) AS m_calls""",
    "* EXCEPT (firsts, dense), arrayMap(number -> toUInt32(firsts[number]), dense) AS ups",
    # For each span, the nearest span in `c_`: itself or one above it; else the outermost span above it that is there.
    """\
*, arrayFold((near, step) -> arrayMap(place -> near[place], near), range(5),
    arrayMap((place, up, is_call) -> if(is_call OR up = 0, place, up), m, ups, m_calls)) AS nears""",
    """\
*, arrayFilter((near, is_call) -> is_call, arrayMap((place, up) -> if(up = 0, place, nears[up]), m, ups), m_calls)
    AS c_nears, arrayFilter((place, is_call) -> is_call, m, m_calls) AS c_places""",
    f"""\
* EXCEPT (m, m_calls, nears), arrayMap((near, place) -> if(near = place, 0, indexOf(c_places, near)), c_nears, c_places)
    AS links, arrayMap(near -> ups[near] = 0 AND parents[near] != {NO_PARENT}, c_nears) AS opens""",
    # Time decides only where a parent is not there.
    f"""\
* EXCEPT (ups, c_nears, c_places, links, opens), arrayConcat(arrayMap((link, open, start, end, response) -> if(
    link != 0, toUInt32(link), toUInt32(arraySort(upper -> c_ends[upper] - c_starts[upper], arrayFilter(
        upper -> (c_kinds[upper] IN {SUMS_SQL} OR response != 0 AND c_responses[upper] = response)
            AND bitAnd(c_used[upper], {SAYS}) != 0 AND c_starts[upper] <= start
            AND c_ends[upper] >= end AND c_ends[upper] - c_starts[upper] > end - start,
        if(open, c_n, [])))[1])), links, opens, if(is_deep, c_starts, []), if(is_deep, c_ends, []),
    if(is_deep, c_responses, [])), arrayWithConstant(if(is_large, length(c_n), 0), toUInt32(0))) AS uppers""",
    # A call is not within one by the same instrumentation that ended before, whatever its parent id says: some leave a
    # span current after it ended. It is within what that one is within.
    f"""\
* REPLACE arrayFold((found, step) -> arrayMap((upper, start, origin) -> if(upper != 0 AND c_kinds[upper] IN {CALLS_SQL}
    AND c_ends[upper] <= start AND bitShiftRight(bitXor(c_origins[upper], origin), 16) = 0, found[upper], upper),
    found, if(is_nested, c_starts, []), if(is_nested, c_origins, [])), range(8), uppers) AS uppers""",
    f"""\
*, arrayConcat(arrayFold((owners, step) -> arrayMap(place -> owners[place], owners), range(6),
    arrayMap((place, upper) -> if(upper = 0, toUInt32(place), upper), if(is_deep, c_n, []), if(is_deep, uppers, []))),
    arrayMap(place -> toUInt32(place), if(is_large, c_n, []))) AS owners,
arrayConcat(
    arrayFilter((place, time) -> time = 1 AND NOT has(uppers, place),
        if(is_deep, c_n, []), if(is_deep, arrayEnumerateUniq(c_ids), [])),
    arrayFilter((place, time, kind, parent, number) -> time = 1 AND kind NOT IN {SUMS_SQL}
            AND (number > last_parent OR number = parent),
        if(is_large, c_n, []), if(is_large, arrayEnumerateUniq(c_ids), []), if(is_large, c_kinds, []),
        if(is_large, arraySlice(c_dense, 1, length(c_n)), []), arraySlice(c_dense, 1 + length(c_n)))) AS all_leaves""",
    # Of two statements of one call, the one that says more stays; if both say as much, the shorter one. They have
    # nearly the same time, so each is compared only with its neighbours in time.
    """\
*, if(arrayUniq(arrayMap(one -> bitShiftRight(one, 16), c_origins)) > 1, all_leaves, []) AS doubtful""",
    """\
* EXCEPT doubtful, arraySort(one -> (bitAnd(c_origins[one], 65535), c_starts[one] + c_ends[one]), doubtful) AS by_model,
arraySort(one -> (c_responses[one], c_starts[one] + c_ends[one]),
    arrayFilter(one -> c_responses[one] != 0, doubtful)) AS by_response""",
    f"""\
* EXCEPT (by_model, by_response), arrayMap(pair -> if((c_worths[pair.1], c_ids[pair.1]) < (c_worths[pair.2],
    c_ids[pair.2]), pair.1, pair.2), arrayFilter(pair -> {_SAME_CALL},
        arrayConcat({_neighbours("by_model")}, {_neighbours("by_response")}))) AS copies""",
    f"""\
*, arrayFilter(leaf -> NOT has(copies, leaf), all_leaves) AS leaves,
arrayFilter(place -> has(uppers, place) AND owners[place] = place AND bitAnd(c_used[place], {SAYS}) != 0,
    if(is_deep, c_n, [])) AS tops,
arrayMap(({", ".join(_PARTS)}) -> arrayMap(one -> greatest(0., toFloat64(one)), [{", ".join(_PARTS)}]),
    {", ".join(f"if(is_nested, c_{field}, [])" for field in _PARTS)}) AS numbers""",
    # What each sum says beyond the calls in it.
    f"""\
*, arrayReduce('sumForEach', arrayConcat([{_ZEROS}], arrayMap(leaf -> numbers[leaf], leaves), arrayMap(
    top -> arrayMap((all, rest) -> greatest(0, all - rest), numbers[top], arrayReduce('sumForEach', arrayConcat(
        [{_ZEROS}], arrayMap(leaf -> if(owners[leaf] = top, numbers[leaf], {_ZEROS}), all_leaves)))), tops))) AS totals,
{_IS_LOST} AS is_lost,
if(is_nested, arrayMap(leaf -> c_used[leaf], leaves), c_used) AS l_used,
arraySum(leaf -> numbers[leaf][1] + numbers[leaf][2], leaves) AS l_tokens,
if(is_nested, arrayMap(leaf -> c_kinds[leaf], leaves), c_kinds) AS l_kinds,
if(is_nested, arrayMap(leaf -> c_costs[leaf], leaves), c_costs) AS l_costs,
if(is_nested, arrayMap(leaf -> uppers[leaf] != 0
    AND bitAnd(bitOr(c_used[uppers[leaf]], c_used[owners[leaf]]), {SAYS}) != 0, leaves), []) AS l_told,
if(is_nested, arrayMap(leaf -> if(uppers[leaf] != 0 AND c_costs[owners[leaf]] >= 0, 0., c_costs[leaf]), leaves),
    c_costs) AS l_due""",
    # Arrays whose names begin with `l_` hold what calls say: bits of their usage, kinds, costs as said and as due.
    f"""\
version, trace, conversation, entries, {_SUMS},
arrayCount(one -> bitAnd(one, {SAYS}) != 0, l_used) + length(tops) AS said,
arrayCount(one -> one >= 0, l_costs) + arrayCount(top -> c_costs[top] >= 0, tops) AS priced,
-- What a sum says beyond its calls is of no model, and has no price.
arrayCount((one, cost) -> bitTest(one, {TOKENS_BIT}) AND cost < 0 AND NOT bitTest(one, {UNCACHED_BIT}), l_used, l_due)
    + (is_nested AND totals[1] + totals[2] > l_tokens AND arrayExists(top -> c_costs[top] < 0, tops)) AS unpriced,
arrayCount((one, kind) -> kind = {KINDS.index(Kind.EMBEDDING) + 1} AND bitAnd(one, {UNSAID}) = 0, l_used, l_kinds)
    AS unsaid_embeddings,
arrayCount(one -> bitTest(one, {UNCACHED_BIT}), l_used) AS uncached,
arrayCount((one, cost) -> bitTest(one, {UNCACHED_BIT}) AND cost < 0, l_used, l_due) AS uncosted,
empty(l_used) AND has(kinds, {KINDS.index(Kind.AGENT) + 1}) AND NOT is_lost AS mute,
arrayCount((one, kind, told) -> kind IN {CALLS_SQL} AND bitAnd(one, {UNSAID}) = 0 AND NOT told AND NOT is_lost,
    l_used, l_kinds, arrayResize(l_told, length(l_used))) AS unsaid,
arrayCount(one -> bitTest(one, {ODD_BIT}), used) AS odd, length(l_used) AS calls,
arrayCount((one, kind) -> bitTest(one, {FAILED_BIT}) AND kind IN {CALLS_SQL}, l_used, l_kinds) AS failed_calls,
{_TOOL_CALLS} AS tool_calls, length(all_leaves) - length(leaves) AS doubled,
arrayFilter(one -> one > 0, if(is_nested, arrayMap(leaf -> c_chunks[leaf], leaves), c_chunks)) AS chunks""",
)
