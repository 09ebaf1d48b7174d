# SPDX-License-Identifier: Apache-2.0
"""The table of `conventions` as SQL over a span's attributes, which the Collector's table has as a map of texts.

One expression, `said`, picks the attributes of a span that a convention has a place for. It makes a small map of texts
by the number of the thing. The other expressions read that map, which they call `said`, as it is the argument of a
lambda. All read one span alone, so they can stand in a column, a view or a query. ClickHouse analyses the expressions
of columns at each insert, which takes some 50 us a function. So the two hundred places are constants of a few
functions.

What is not believed is left out: a count that is negative, no whole number or beyond `LARGEST_COUNT`, and a cost or
time that is not finite.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from otel_loggedmodel.conventions import notifications, scopes
from otel_loggedmodel.conventions.reading import LARGEST_COUNT
from otel_loggedmodel.conventions.shape import Form, Place
from otel_loggedmodel.conventions.sources import claude_code
from otel_loggedmodel.conventions.status import (
    CONSUMER_KINDS,
    ERROR_STATUSES,
    EXCEPTION_EVENT,
    FAILURE_THAT_ENDS_OK,
    OK_STATUSES,
    SCOPES_THAT_END_OK,
    SERVER_KINDS,
)
from otel_loggedmodel.conventions.table import places_of
from otel_loggedmodel.conventions.things import Kind, Thing

KINDS: Final = tuple(Kind)
_SAID_TYPE: Final = "Map(UInt8, String)"

_LARGEST_NUMBER: Final = "1e15"
_COUNTS: Final = (
    Thing.INPUT_TOKENS,
    Thing.OUTPUT_TOKENS,
    Thing.TOTAL_TOKENS,
    Thing.CACHE_READ_TOKENS,
    Thing.CACHE_WRITE_TOKENS,
    Thing.REASONING_TOKENS,
    Thing.INPUT_AUDIO_TOKENS,
    Thing.INPUT_IMAGE_TOKENS,
    Thing.OUTPUT_AUDIO_TOKENS,
    Thing.OUTPUT_IMAGE_TOKENS,
    Thing.CACHE_READ_AUDIO_TOKENS,
)
_NAMES: Final = (
    Thing.PROVIDER,
    Thing.REQUEST_MODEL,
    Thing.RESPONSE_MODEL,
    Thing.RESPONSE_ID,
    Thing.ADDRESS,
    Thing.CONVERSATION,
    Thing.USER,
    Thing.PROMPT_NAME,
    Thing.PROMPT_VERSION,
    Thing.AGENT,
    Thing.ERROR_TYPE,
)
# Numbers of what is said. Counts come first, then other numbers, the kind, and names; odd and free are remarks.
_COST, _CACHE_COST, _FIRST_CHUNK, _FIRST_CHUNK_MS = (len(_COUNTS) + place for place in (1, 2, 3, 4))
_KIND: Final = _FIRST_CHUNK_MS + 1
_FIRST_CHUNK_AT: Final = _KIND + len(_NAMES) + 1
_ODD, _FREE = _FIRST_CHUNK_AT + 1, _FIRST_CHUNK_AT + 2
_NUMBERS: Final = {
    **{thing: number for number, thing in enumerate(_COUNTS, 1)},
    Thing.COST: _COST,
    Thing.CACHE_COST: _CACHE_COST,
    Thing.KIND: _KIND,
    **{thing: number for number, thing in enumerate(_NAMES, _KIND + 1)},
}
_PLACES: Final = 64  # more than any thing has
_INSIDE: Final = " > "  # between the names of a path into JSON


def literal(text: str) -> str:
    """A text as a constant of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """The condition that a column is one of some constants."""
    return f"{column} IN ({', '.join(map(literal, values))})"


def code(text: str) -> str:
    """The 16 bits that the part `origin` keeps of the name of an instrumentation, or of a model, as SQL."""
    return f"modulo(cityHash64({text}), 65536)"


def codes(names: Iterable[str]) -> str:
    """The same of some constants, with commas between them."""
    return ", ".join(code(literal(name)) for name in names)


HAS_ERROR_STATUS: Final = one_of("StatusCode", ERROR_STATUSES)
HAS_OK_STATUS: Final = one_of("StatusCode", OK_STATUSES)
IS_SERVED: Final = one_of("SpanKind", (*SERVER_KINDS, *CONSUMER_KINDS))
IS_ERROR: Final = (
    f"{HAS_ERROR_STATUS} OR {one_of('ScopeName', SCOPES_THAT_END_OK)} AND (has(`Events.Name`, '{EXCEPTION_EVENT}')"
    f" OR SpanAttributes['{FAILURE_THAT_ENDS_OK}'] = 'true')"
)


def raw_text(*things: Thing) -> str:
    """The first attribute that a span has for one of these, as it is written, empty where it has none."""
    keys = dict.fromkeys(place.attribute for place in places_of(*things))
    values = ", ".join(f"SpanAttributes[{literal(key)}]" for key in keys)
    return f"arrayFirst(one -> one != '', [{values}])"


def has_text(*things: Thing) -> str:
    """Whether a span has an attribute for one of these that is not empty. Quicker than asking `raw_text`."""
    keys = _constants({place.attribute for place in places_of(*things)})
    pairs = "mapKeys(SpanAttributes), mapValues(SpanAttributes)"
    return f"arrayExists((key, text) -> text != '' AND key IN ({keys}), {pairs})"


def _constants(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, sorted(texts)))


ERROR_KIND: Final = (
    "multiIf(SpanAttributes['error.type'] != '', SpanAttributes['error.type'],"
    " arrayExists(one -> one['exception.type'] != '', `Events.Attributes`),"
    " arrayFirst(one -> one['exception.type'] != '', `Events.Attributes`)['exception.type'],"
    " substringUTF8(StatusMessage, 1, 120))"
)
"""What a span that failed says of the kind of its error: its type, that of an exception, or what its status says."""
FAILS: Final = f"({IS_ERROR} OR {has_text(Thing.ERROR_TYPE)} AND {has_text(Thing.KIND)} AND NOT {HAS_OK_STATUS})"
"""Whether a span failed. It holds for all spans; those that count have the same as a bit of `LoggedModelCall`."""


def said() -> str:
    """What a span says, by the number of the thing. If several places hold a thing, the value of the first comes first.

    The kind of work is its number in `KINDS`, from 1 on, as a text. JSON is taken apart level by level; at each level,
    members that have no place are left out.
    """
    codes, json_codes, inner = _codes()
    plain = (
        "arrayFilter(pair -> pair.1 != 0, arrayZip("
        f"arrayMap(key -> {_transformed('key', codes)}, mapKeys(SpanAttributes)), mapValues(SpanAttributes)))"
    )
    roots = _constants({path[0] for path in json_codes})
    python = {place.attribute for thing in _COUNTS for place in places_of(thing) if place.form is Form.PYTHON}
    texts = (
        # These dictionaries hold only names and numbers, so every quote belongs to a name.
        f"arrayMap((key, text) -> (toString(key), if(key IN ({_constants(python)}),"
        " replaceAll(replaceAll(text, '\\'', '\"'), 'None', 'null'), text)),"
        f" arrayFilter(key -> key IN ({roots}), mapKeys(SpanAttributes)),"
        f" arrayFilter((text, key) -> key IN ({roots}), mapValues(SpanAttributes), mapKeys(SpanAttributes)))"
    )
    wanted = _constants({_joined(path) for path in (*json_codes, *inner)})
    members = (
        f"arrayFold((found, step) -> arrayFlatten(arrayMap(pair -> if(pair.1 IN ({_constants(map(_joined, inner))}),"
        f" arrayFilter(member -> member.1 IN ({wanted}),"
        f" arrayMap(member -> (concat(pair.1, '{_INSIDE}', member.1), member.2), JSONExtractKeysAndValuesRaw(pair.2))),"
        f" [pair]), found)), range({max(map(len, json_codes)) - 1}), {texts})"
    )
    by_path = {_joined(path): code for path, code in json_codes.items()}
    json = f"arrayMap(pair -> ({_transformed('pair.1', by_path)}, JSONExtractString(pair.2)), {members})"
    means = {value: kind for place in places_of(Thing.KIND) for value, kind in place.kinds.items()}
    numbers = {value: literal(str(KINDS.index(kind) + 1)) for value, kind in means.items()}
    kind = _transformed("trim(BOTH '\"' FROM pair.2)", numbers, "''")
    things = (
        f"arrayMap(pair -> (intDiv(pair.1, {_PLACES}), if(intDiv(pair.1, {_PLACES}) = {_KIND}, {kind}, pair.2)),"
        f" arraySort(pair -> pair.1, arrayConcat({plain}, {json})))"
    )
    remarks = (_NUMBERS[Thing.INPUT_TOKENS], _NUMBERS[Thing.OUTPUT_TOKENS], _COST)
    thing, text = "pair.1", "pair.2"
    checked = (
        "arrayMap(pair -> (toUInt8(multiIf("
        f"{thing} <= {len(_COUNTS)} AND toUInt64OrZero({text}) BETWEEN 1 AND {LARGEST_COUNT}, {thing},"
        f" {thing} BETWEEN {_COST} AND {_FIRST_CHUNK_MS} AND toFloat64OrZero({text}) > 0"
        f" AND toFloat64OrZero({text}) <= {_LARGEST_NUMBER}, {thing},"
        # char(123) is the brace that opens a map. Written as a brace, it would begin a parameter.
        f" {thing} >= {_KIND} AND {text} != '' AND NOT startsWith({text}, '[')"
        f" AND NOT startsWith({text}, char(123)), {thing},"
        f" {thing} = {_COST} AND toFloat64OrNull({text}) = 0, {_FREE},"
        f" {thing} IN {remarks} AND {text} != '' AND ifNull(toFloat64OrNull({text}) != 0, 1), {_ODD}, 0)),"
        f" {text}), {things})"
    )
    return f"CAST(arrayFilter(pair -> pair.1 != 0, {checked}), '{_SAID_TYPE}')"


def may_say() -> str:
    """Whether a span has an attribute that can tell of a call, a tool or an agent."""
    things = (*_COUNTS, Thing.COST, Thing.KIND, Thing.REQUEST_MODEL, Thing.RESPONSE_MODEL)
    keys = {place.attribute for thing in (*things, Thing.PROMPT_NAME, Thing.AGENT) for place in places_of(thing)}
    return f"arrayExists(key -> key IN ({_constants(keys)}), mapKeys(SpanAttributes))"


def _joined(path: Iterable[str]) -> str:
    return _INSIDE.join(path)


def _transformed(text: str, values: Mapping[str, object], default: str = "0") -> str:
    """The value for a text, as SQL; both as constants."""
    keys, numbers = ", ".join(map(literal, values)), ", ".join(map(str, values.values()))
    return f"transform({text}, [{keys}], [{numbers}], {default})"


def _codes() -> tuple[dict[str, int], dict[tuple[str, ...], int], frozenset[tuple[str, ...]]]:
    """A number for each attribute, one for each path into JSON, and the beginnings of these paths (with members)."""
    codes: dict[str, int] = {}
    json_codes: dict[tuple[str, ...], int] = {}
    counts: dict[int, int] = defaultdict(int)
    for thing in (*_COUNTS, Thing.COST, Thing.CACHE_COST, Thing.FIRST_CHUNK, Thing.KIND, *_NAMES):
        for place in places_of(thing):
            if place.form is Form.EVENT:
                continue
            number = _number_of(place)
            code = number * _PLACES + counts[number]
            counts[number] += 1
            if place.form in (Form.JSON, Form.PYTHON) and place.thing is not Thing.KIND:
                json_codes[_path(place)] = code
            else:
                codes[place.attribute] = code
    inner = frozenset(path[:length] for path in json_codes for length in range(1, len(path)))
    return codes, json_codes, inner


def _path(place: Place) -> tuple[str, ...]:
    if not all(isinstance(step, str) for step in place.path):
        raise ValueError(f"the store reads members of JSON by name alone: {place.attribute}, {place.path}")
    return (place.attribute, *map(str, place.path))


def _number_of(place: Place) -> int:
    if place.thing is not Thing.FIRST_CHUNK:
        return _NUMBERS[place.thing]
    if place.form is Form.TIME:
        return _FIRST_CHUNK_AT
    return _FIRST_CHUNK if place.factor == 1 else _FIRST_CHUNK_MS


def _said(number: int) -> str:
    return f"said[{number}]"


def name(*things: Thing) -> str:
    """The first name that a span has for one of these, empty where it has none; a list or a map is no name."""
    *firsts, last = (_said(_NUMBERS[thing]) for thing in things)
    for first in reversed(firsts):
        last = f"if({first} != '', {first}, {last})"
    return last


def says(thing: Thing) -> str:
    """Whether a span says this, and is believed."""
    return f"{_said(_NUMBERS[thing])} != ''"


def count(thing: Thing) -> str:
    """How many a span says that there are, 0 where it does not say or is not believed."""
    return f"toUInt64OrZero({_said(_NUMBERS[thing])})"


def cost() -> str:
    """US dollars that a span says, 0 where it does not say or is not believed."""
    return f"toFloat64OrZero({_said(_COST)})"


def kind() -> str:
    """What kind of work a span is: the place of its kind in `KINDS`, from 1 on; 0 where it does not say."""
    return f"toUInt8OrZero({_said(_KIND)})"


def is_copying() -> str:
    """Whether a span has the version's name only because its instrumentation copies it there from the resource."""
    copying = one_of("ScopeName", scopes.COPYING_RESOURCES)
    return f"({copying} AND SpanAttributes['{claude_code.TYPE}'] != '{claude_code.INTERACTION}')"


def is_no_request() -> str:
    """Whether the attributes of a span say that it builds something, or that it belongs to a session of a protocol."""
    return " OR ".join(
        (
            *(
                one_of(f"SpanAttributes[{literal(place.attribute)}]", values)
                for place in places_of(Thing.KIND)
                if (values := [value for value, kind in place.kinds.items() if kind is Kind.BUILD])
            ),
            f"startsWith(SpanAttributes[{literal(notifications.METHOD)}], {literal(notifications.BEGINNING)})",
            one_of(f"SpanAttributes[{literal(notifications.METHOD)}]", notifications.OF_SESSIONS),
        )
    )


def has_all(attributes: Iterable[str]) -> str:
    """The condition that a span has all of these attributes."""
    return f"hasAll(mapKeys(SpanAttributes), [{', '.join(map(literal, attributes))}])"


def says_cached() -> str:
    """Whether a span says how many tokens were cached, even if 0. What they cost does not tell."""
    places = (*places_of(Thing.CACHE_READ_TOKENS), *places_of(Thing.CACHE_WRITE_TOKENS))
    keys = dict.fromkeys(place.attribute for place in places if place.form is Form.VALUE)
    return f"hasAny(mapKeys(SpanAttributes), [{', '.join(map(literal, keys))}])"


def says_cache_cost() -> str:
    """Whether a span says that cached tokens cost something."""
    return f"mapContains(said, {_CACHE_COST})"


def says_odd() -> str:
    """Whether a span says tokens or a cost that are not believed."""
    return f"mapContains(said, {_ODD})"


def says_free() -> str:
    """Whether a span says that it cost nothing."""
    return f"mapContains(said, {_FREE})"


def chunk_events() -> str:
    """Seconds from the start of a span to the first event of each kind that begins a streamed answer, as an array."""
    start = "toUnixTimestamp64Nano(Timestamp)"
    names = [place.attribute for place in places_of(Thing.FIRST_CHUNK) if place.form is Form.EVENT]
    return (
        f"arrayMap(name -> (toUnixTimestamp64Nano(`Events.Timestamp`[indexOf(`Events.Name`, name)]) - {start}) / 1e9,"
        f" arrayFilter(name -> has(`Events.Name`, name), [{', '.join(map(literal, names))}]))"
    )


def first_chunk(start: str, duration: str, events: str) -> str:
    """Seconds from the start of a span to the first part of a streamed answer, 0 where it does not say.

    An answer does not begin after it has ended, so that a later time is not believed.

    Args:
        start: When the span began, in ns since the epoch.
        duration: Its seconds.
        events: What `chunk_events` says.
    """
    at = f"parseDateTime64BestEffortOrZero(trim(BOTH '\"' FROM {_said(_FIRST_CHUNK_AT)}), 9, 'UTC')"
    seconds = [
        f"toFloat64OrZero({_said(_FIRST_CHUNK)})",
        f"toFloat64OrZero({_said(_FIRST_CHUNK_MS)}) / 1000",
        f"if({_said(_FIRST_CHUNK_AT)} = '', 0, (toUnixTimestamp64Nano({at}) - {start}) / 1e9)",
    ]
    return f"arrayFirst(one -> one > 0 AND one <= {duration}, arrayConcat([{', '.join(seconds)}], {events}))"
