# SPDX-License-Identifier: Apache-2.0
"""What a span says of a call of a model, an agent or a tool, as one column whose parts follow from its attributes.

It is one column, so that a value which several parts need is worked out once. ClickHouse analyses the expression at
each insert, which takes some 70 us a function. So such a value is the argument of a lambda. Written out in each place,
the expression would be four times as long; subqueries take longer, too.
"""

from collections.abc import Mapping
from typing import Final

from otel_loggedmodel.conventions import scopes
from otel_loggedmodel.conventions.things import CALLS, Kind, Thing
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store.span_times import START

# Kinds of tokens with prices of their own, beside cached ones; they are among the input or the output tokens.
MODALITIES: Final = (
    Thing.INPUT_AUDIO_TOKENS,
    Thing.INPUT_IMAGE_TOKENS,
    Thing.CACHE_READ_AUDIO_TOKENS,
    Thing.OUTPUT_AUDIO_TOKENS,
    Thing.OUTPUT_IMAGE_TOKENS,
)

KINDS_TYPE: Final = (
    f"Enum8('none' = 0, {', '.join(f'{sql.literal(kind)} = {place}' for place, kind in enumerate(sql.KINDS, 1))})"
)

# What the part `usage` says of a span, bit by bit.
TOKENS_BIT: Final = 0
"""It says how many tokens it took or gave."""
COST_BIT: Final = 1
"""It says what it cost."""
FAILED_BIT: Final = 2
"""It failed."""
SERVED_BIT: Final = 3
"""It is a server's or a consumer's."""
ODD_BIT: Final = 4
"""It says tokens or a cost that cannot be."""
ALONE_BIT: Final = 5
"""It is a call of a model without a parent."""
UNCACHED_BIT: Final = 6
"""It is a call that says tokens, but not how many of them were cached: its instrumentation never does, or the call says
only what cached tokens cost."""

_LLM: Final = sql.KINDS.index(Kind.LLM) + 1
_REPEAT: Final = sql.KINDS.index(Kind.REPEAT) + 1
_NONE, _SPAN, _ENTRY, _BUILD = 0, 1, 2, 5  # of `LoggedModelRole`
IS_FIRST: Final = "IsFirst"
"""The column that says whether a span may stand for its trace; `EXPRESSION` reads it beside those of the span."""
STAND_IN, BUILDS = 1, 2  # of the part `lone`
_CALLS: Final = tuple(sql.KINDS.index(kind) + 1 for kind in CALLS)

# In a private network, or a name without a domain, as containers have.
_IS_LOCAL: Final = (
    r"match(address, '^([a-z]+://)?(localhost|127\\.|0\\.0\\.0\\.0|10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\."
    r"|\\[?::1|[^./:\\[\\]]+(:[0-9]+)?(/|$)|[^/:]+\\.(local|internal|lan|localdomain)(:[0-9]+)?(/|$))')"
)
# The names of models without their dates, and without the providers before them.
_MODEL_FAMILY: Final = (
    "replaceRegexpOne(replaceRegexpOne(if(asked != '', asked, answered), '^.*[/:]', ''),"
    r" '-20[0-9][0-9]-?[0-9][0-9]-?[0-9][0-9]$', '')"
)
_MODAL: Final = ", ".join(map(sql.count, MODALITIES))

# Values that the parts need more than once are worked out first, each group from the groups before it. Only the first
# group reads columns of texts and maps: it hands on what later groups need.
_STEPS: Final[tuple[Mapping[str, str], ...]] = (
    {
        "said": sql.said(),
        "role": "toUInt8(LoggedModelRole)",
        "is_first": IS_FIRST,
        "is_lone": f"{IS_FIRST} OR LoggedModelRole = 'build'",
        "trace": "cityHash64(TraceId)",
        "span": "cityHash64(SpanId)",
        "parent": "cityHash64(ParentSpanId)",
        "scope": sql.code("ScopeName"),
        "is_root": "ParentSpanId = ''",
        "is_served": sql.IS_SERVED,
        "is_error": sql.IS_ERROR,
        "is_ok": sql.HAS_OK_STATUS,
        # A span that says an estimate, or what only the last of several calls used, is read as if it said nothing.
        "is_estimate": (
            f"{sql.one_of('ScopeName', scopes.WITH_ESTIMATES)} OR"
            f" {sql.one_of(f'SpanAttributes[{sql.literal(scopes.INTEGRATION)}]', scopes.INTEGRATIONS_WITH_ESTIMATES)}"
        ),
        "has_cost_so_far": sql.one_of("ScopeName", scopes.WITH_COST_SO_FAR),
        "has_bare": f"hasAny(mapKeys(SpanAttributes), [{', '.join(map(sql.literal, scopes.BARE_TOKENS))}])",
        "is_overwritten": f"SpanAttributes['{scopes.LITELLM_CALL_ID}'] != '' AND ScopeName != '{scopes.LITELLM}'",
        "has_cached_beside": sql.one_of("ScopeName", scopes.WITH_CACHED_BESIDE),
        "always_has_cached_beside": sql.one_of("ScopeName", scopes.ALWAYS_WITH_CACHED_BESIDE),
        "has_reasoning_twice": sql.one_of("ScopeName", scopes.WITH_REASONING_TWICE),
        "has_no_cached": (
            f"({sql.one_of('ScopeName', scopes.WITHOUT_CACHED)} OR {sql.has_all(scopes.ATTRIBUTES_WITHOUT_CACHED)})"
            f" AND NOT {sql.says_cached()}"
        ),
        "start": START,
        "duration": "Duration / 1e9",
        "chunk_events": sql.chunk_events(),
    },
    {
        "kind_said": sql.kind(),
        "provider": sql.name(Thing.PROVIDER),
        "asked": sql.name(Thing.REQUEST_MODEL),
        "answered": sql.name(Thing.RESPONSE_MODEL, Thing.REQUEST_MODEL),
        "response": sql.name(Thing.RESPONSE_ID),
        "address": sql.name(Thing.ADDRESS),
        "agent": sql.name(Thing.AGENT),
        "prompt": sql.name(Thing.PROMPT_NAME),
        "prompt_version": sql.name(Thing.PROMPT_VERSION),
        "conversation": sql.name(Thing.CONVERSATION),
        "input_said": sql.count(Thing.INPUT_TOKENS),
        "output_said": sql.count(Thing.OUTPUT_TOKENS),
        "total": sql.count(Thing.TOTAL_TOKENS),
        "cache_read": sql.count(Thing.CACHE_READ_TOKENS),
        "cache_write": sql.count(Thing.CACHE_WRITE_TOKENS),
        "reasoning": sql.count(Thing.REASONING_TOKENS),
        "modal": f"[{_MODAL}]",
        "cost": f"if(has_cost_so_far, 0., {sql.cost()})",
        "is_odd": sql.says_odd(),
        "is_free": sql.says_free(),
        "is_cache_cost": sql.says_cache_cost(),
        "failed": f"is_error OR {sql.says(Thing.ERROR_TYPE)} AND {sql.says(Thing.KIND)} AND NOT is_ok",
        "first_chunk": sql.first_chunk("start", "duration", "chunk_events"),
    },
    {
        # A span that names a model and no kind of work is a call of that model.
        "kind": f"if(kind_said = 0 AND answered != '', {_LLM}, kind_said)",
        "cached": "cache_read + cache_write",
        "is_told": (
            f"NOT (is_estimate AND NOT startsWith(response, '{scopes.RESPONSES_API}') OR is_overwritten"
            # An application has such names for whatever it counts.
            " OR has_bare AND kind_said = 0 AND answered = '')"
        ),
    },
    {
        "is_call": f"kind IN {_CALLS}",
        "has_tokens": f"(input_said != 0 OR output_said != 0) AND kind_said != {_REPEAT} AND is_told",
    },
    {
        "has_cost": f"cost > 0 AND kind_said != {_REPEAT} AND is_told OR has_tokens AND is_free",
        "is_stray": f"role = {_NONE} AND is_call",
    },
    {
        "is_kept": f"role = {_ENTRY} OR is_stray OR role = {_SPAN} AND (kind != 0 OR has_tokens OR has_cost OR failed"
        " OR prompt != '' OR agent != '')",
    },
)


def _bits(*conditions: str) -> str:
    return f"toUInt8({' + '.join(f'{1 << bit} * ({condition})' for bit, condition in enumerate(conditions))})"


def _kept(number: str) -> str:
    """What only spans say that count by themselves. Else it would matter which of the others are stored."""
    return f"if(is_kept, {number}, 0)"


def _known(id_: str) -> str:
    """The hash of an id; 0 of a span that is not stored."""
    return f"if(is_kept OR is_lone, {id_}, 0)"


def _told(number: str) -> str:
    return f"if(is_told, {number}, 0)"


def _hash(text: str) -> str:
    return f"if({text} = '', 0, cityHash64({text}))"


# Each part with its type and how it follows from the steps.
#
# None is nullable. Where a part is nearly always 0, ClickHouse stores only the other values, and reads it at next to no
# cost.
_PARTS: Final[Mapping[str, tuple[str, str]]] = {
    # What kind of work it is.
    "kind": (KINDS_TYPE, "kind"),
    # Bits, see above.
    "usage": (
        "UInt8",
        _kept(
            _bits(
                *("has_tokens", "has_cost", "failed", "is_served", "is_odd"),
                "is_root AND is_call",
                f"kind = {_LLM} AND has_tokens AND cached = 0 AND (is_cache_cost OR has_no_cached)",
            )
        ),
    ),
    # Some instrumentations leave cached tokens out of the input, against the conventions. A few are known to do so, of
    # some providers. Else it shows where more tokens were cached than went in, or where the total counts them beside
    # the input. They are added then.
    "input": (
        "UInt64",
        _told(
            "input_said + if(cached > input_said OR always_has_cached_beside OR has_cached_beside"
            f" AND {sql.one_of('provider', scopes.PROVIDERS_WITH_CACHED_BESIDE)}"
            " OR cached > 0 AND total = input_said + cached + output_said, cached, 0)"
        ),
    ),
    "output": (
        "UInt64",
        _told(
            "output_said - if(has_reasoning_twice AND match(asked, '^[a-z0-9_]+/')"
            f" AND splitByChar('/', asked)[1] NOT IN ({', '.join(map(sql.literal, scopes.GEMINI_PATHS))}),"
            " least(reasoning, output_said), 0)"
        ),
    ),
    # Tokens of the kinds that have prices of their own; they are among the input or the output.
    "cache_read": ("UInt64", _told("cache_read")),
    "cache_write": ("UInt64", _told("cache_write")),
    "reasoning": ("UInt64", _told("reasoning")),
    # In the order of `MODALITIES`; empty where all are 0.
    "modal": ("Array(UInt64)", "if(arraySum(modal) = 0, [], modal)"),
    "cost": ("Float64", _told("cost")),
    # Provider and model of a call, for its price. Then, each on a line of its own: the model that was asked for, if
    # another one answered, and `local`, if its server is in a private network.
    "llm": (
        "LowCardinality(String)",
        f"if(role IN ({_SPAN}, {_ENTRY}) AND (has_tokens OR is_call) OR is_stray,"
        " concat(provider, '/', answered, if(asked NOT IN ('', answered), concat('\\nasked ', asked), ''),"
        f" if({_IS_LOCAL}, '\\nlocal', '')), '')",
    ),
    # The name of a prompt and, on a line of its own, its version.
    "prompt": (
        "LowCardinality(String)",
        "if(prompt = '' OR prompt_version = '', prompt, concat(prompt, '\\n', prompt_version))",
    ),
    "agent": ("LowCardinality(String)", "agent"),
    # Hashes of the ids of spans that counting reads, and of calls without a version. They take a quarter of the space.
    "trace": ("UInt64", _known("trace")),
    "span": ("UInt64", _known("span")),
    "parent": ("UInt64", _known("parent")),
    "conversation": ("UInt64", _kept(_hash("conversation"))),
    # These tell whether two instrumentations state one call: a hash of the response id; then those of the scope and of
    # the model, as 16 bits each.
    "response": ("UInt64", _kept(_hash("response"))),
    "origin": (
        "UInt32",
        "if(is_kept, bitOr(bitShiftLeft(toUInt32(scope), 16),"
        f" if(is_call, toUInt32({sql.code(_MODEL_FAMILY)}), 0)), 0)",
    ),
    "first_chunk": ("Float32", "first_chunk"),
    # The trace of a call that carries no version.
    "stray": ("UInt64", "if(is_stray, trace, 0)"),
    # Whether it is the first of a trace of which no entry span came with it (`counted`).
    "first": ("UInt8", "is_first"),
    # Not 0 where it does not count by itself: 1 if it stands for its trace in case nothing of it counts, and 2 if it
    # builds something or is a notification, as then nothing stands for the trace.
    "lone": ("UInt8", f"if(is_kept, 0, is_lone + (role = {_BUILD}))"),
}


def _expression() -> str:
    found = f"({', '.join(expression for _, expression in _PARTS.values())})"
    for step in reversed(_STEPS):
        values = ", ".join(f"[{expression}]" for expression in step.values())
        found = f"arrayMap(({', '.join(step)}) -> {found}, {values})[1]"
    return found


TYPE: Final = f"Tuple({', '.join(f'{name} {type_name}' for name, (type_name, _) in _PARTS.items())})"
EXPRESSION: Final = _expression()
