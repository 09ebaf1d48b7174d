# SPDX-License-Identifier: Apache-2.0
"""What a call of a language model costs, in SQL: prices at the time of the call as constants of a query.

A cost that a span states itself counts before them, unless it is 0: frameworks that know no price say 0. The prices are
list prices without discounts, or those of a file (`price_file`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from otel_loggedmodel.store import call_column, price_list, schema
from otel_loggedmodel.store.price_file import NO_FILE, PriceFile
from otel_loggedmodel.store.prices import Called, Prices, Schedule

_DAY: Final = 86_400
_BEFORE: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
# Places of the kinds in the column of rare kinds; ClickHouse counts from 1 on.
_PLACES: Final = {
    str(thing): f"toFloat64({schema.call('modal')}[{place}])" for place, thing in enumerate(call_column.MODALITIES, 1)
}


@dataclass(frozen=True)
class PriceTable:
    """The prices of the models that were called, as far as they have any.

    Attributes:
        prices: By the text that says whom a span called. If prices change, a line with the time's place is added to it.
        dates: When some of them change.
        times: The seconds of the day at which some change.
        changing: The texts of those that change.
        has_modal: Whether there are tokens of audio or images.
    """

    prices: Mapping[str, tuple[Prices, ...]] = field(default_factory=dict)
    dates: tuple[int, ...] = ()
    times: tuple[int, ...] = ()
    changing: tuple[str, ...] = ()
    has_modal: bool = False

    def may_write(self, llm: str) -> bool:
        """Whether a model may write tokens to a cache: it has a price for that, or none that is known."""
        found = [tiers for text, tiers in self.prices.items() if text == llm or text.startswith(f"{llm}\n")]
        return not found or any(row.cache_write != row.input for tiers in found for row in tiers)


NO_PRICES: Final = PriceTable()


def table_of(llms: Iterable[str], own: PriceFile = NO_FILE, *, has_modal: bool = False) -> PriceTable:
    """The prices of models.

    Args:
        llms: Whom spans called, as `LoggedModelCall.llm` has it.
        own: Prices of a file; list prices hold where it has none.
        has_modal: Whether there are tokens of audio or images.
    """
    schedules: dict[str, Schedule] = {}
    for llm in llms:
        called = Called.of(llm)
        schedule = own.schedule_of(called, price_list.schedule_of(called))
        if schedule is not None:
            schedules[llm] = schedule
    changing = [llm for llm, schedule in schedules.items() if schedule.dates() or schedule.times()]
    dates = sorted({date for llm in changing for date in schedules[llm].dates()})
    times = sorted({time for llm in changing for time in schedules[llm].times()})
    prices = {}
    for llm, schedule in schedules.items():
        if llm not in changing:
            prices[llm] = schedule.at(datetime.now(timezone.utc))
            continue
        for date_place, since in enumerate([_BEFORE, *dates]):
            for time_place, second in enumerate([0, *times]):
                at = since.replace(hour=0, minute=0, second=0) + timedelta(seconds=second)
                # A change within a day holds for what is left of it.
                prices[f"{llm}\n{date_place}.{time_place}"] = schedule.at(max(at, since))
    return PriceTable(
        {llm: found for llm, found in prices.items() if found},
        tuple(int(date.timestamp()) for date in dates),
        tuple(times),
        tuple(changing),
        has_modal,
    )


def cost_sql(table: PriceTable) -> tuple[str, dict[str, Any]]:
    """An expression for the cost of a span in US dollars, NULL where it has none, and its parameters."""
    is_stated = f"bitTest({schema.call('usage')}, {call_column.COST_BIT})"
    stated = f"if({is_stated}, {schema.call('cost')}, NULL)"
    if not table.prices:
        return stated, {}
    parameters: dict[str, Any] = {"priced": list(table.prices), "is_priced": [1] * len(table.prices)}
    llm = schema.call("llm")
    if table.changing:
        seconds = "toUInt32(toUnixTimestamp(Timestamp))"
        llm = (
            f"if({llm} IN {{changing:Array(String)}}, concat({llm}, '\\n',"
            f" toString(arrayCount(date -> date <= {seconds}, {{price_dates:Array(UInt32)}})), '.',"
            f" toString(arrayCount(time -> time <= modulo({seconds}, {_DAY}), {{price_times:Array(UInt32)}}))),"
            f" toString({llm}))"
        )
        parameters |= {
            "changing": list(table.changing),
            "price_dates": list(table.dates),
            "price_times": list(table.times),
        }

    def of_model(values: str, type_name: str) -> str:
        # Works on the dictionary of the column, not on each of its rows.
        return f"transform({llm}, {{priced:Array(String)}}, {{{values}:Array({type_name})}}, 0)"

    total = f"toFloat64({schema.call('input')})"
    counts = _counts(table)
    steps = []
    for step in range(max(map(len, table.prices.values()))):
        # A model with fewer steps repeats its last.
        rows = [tiers[min(step, len(tiers) - 1)] for tiers in table.prices.values()]
        parameters[f"price_from_{step}"] = [row.from_tokens for row in rows]
        terms = []
        for kind, tokens in counts.items():
            parameters[f"price_{kind}_{step}"] = [_price(row, kind) for row in rows]
            terms.append(f"{tokens} * {of_model(f'price_{kind}_{step}', 'Float64')}")
        parameters[f"price_request_{step}"] = [row.request for row in rows]
        terms.append(of_model(f"price_request_{step}", "Float64"))
        steps.append((f"{total} >= {of_model(f'price_from_{step}', 'UInt64')}", " + ".join(terms)))
    choice = steps[0][1]
    for condition, cost in steps[1:]:
        choice = f"if({condition}, {cost}, {choice})"
    has_tokens = f"bitTest({schema.call('usage')}, {call_column.TOKENS_BIT})"
    # If a call does not tell cached tokens, its cost is known only where they cost as much as others.
    parameters["prices_cached"] = [
        int(any((row.cache_read, row.cache_write) != (row.input, row.input) for row in tiers))
        for tiers in table.prices.values()
    ]
    is_uncached = f"bitTest({schema.call('usage')}, {call_column.UNCACHED_BIT})"
    is_priced = (
        f"{has_tokens} AND {of_model('is_priced', 'UInt8')} = 1"
        f" AND NOT ({is_uncached} AND {of_model('prices_cached', 'UInt8')} = 1)"
    )
    return (
        f"multiIf({is_stated} AND {schema.call('cost')} > 0, {schema.call('cost')},"
        f" {is_priced}, {choice}, {is_stated}, 0, NULL)",
        parameters,
    )


def _counts(table: PriceTable) -> dict[str, str]:
    """How many tokens of each kind are to be paid for; not below 0, even if a span says more of a kind than in all."""
    total, given = f"toFloat64({schema.call('input')})", f"toFloat64({schema.call('output')})"
    read, write = f"toFloat64({schema.call('cache_read')})", f"toFloat64({schema.call('cache_write')})"
    counts = {"input": f"greatest(0, {total} - {read} - {write})", "cache_read": read, "cache_write": write}
    counts["output"] = given
    if table.has_modal:
        audio, image, read_audio, audio_out, image_out = _PLACES.values()
        counts = {
            "input": f"greatest(0, {total} - {read} - {write} - greatest(0, {audio} - {read_audio}) - {image})",
            "cache_read": f"greatest(0, {read} - {read_audio})",
            "cache_write": write,
            "input_audio": f"greatest(0, {audio} - {read_audio})",
            "input_image": image,
            "cache_read_audio": read_audio,
            "output": f"greatest(0, {given} - {audio_out} - {image_out})",
            "output_audio": audio_out,
            "output_image": image_out,
        }
    if any(row.reasoning is not None for rows in table.prices.values() for row in rows):
        # What reasoning costs more, or less, than other output.
        counts["reasoning"] = f"toFloat64({schema.call('reasoning')})"
    return counts


def _price(prices: Prices, kind: str) -> float:
    if kind == "reasoning":
        return 0.0 if prices.reasoning is None else prices.reasoning - prices.output
    value: float = getattr(prices, kind)
    return value


def warm_up() -> None:
    """Load the prices, which takes a quarter of a second."""
    price_list.warm_up()
