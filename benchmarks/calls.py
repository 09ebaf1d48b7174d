# SPDX-License-Identifier: Apache-2.0
"""What the calls take that make versions and say which one is active."""

import itertools
import logging
from collections.abc import Callable

import otel_loggedmodel
from benchmarks.measuring import Contestant, measure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from otel_loggedmodel.versions.catalogue import MAX_MODELS

CALLS_PER_SLICE = 200
BLOCKS = 9
ROUNDS_PER_BLOCK = 15
BUDGET_MICROSECONDS = 100.0

TAGS = {f"team.{number}": f"support-{number}" for number in range(5)}


def run() -> Report:
    """Measure."""
    logging.getLogger("otel_loggedmodel").setLevel(logging.ERROR)  # it warns of that many versions
    contestants = _contestants()
    _fill_catalogue()
    timings = measure(
        [*contestants.values()], operations=CALLS_PER_SLICE, blocks=BLOCKS, rounds_per_block=ROUNDS_PER_BLOCK
    )
    rows = [Row(each.label, {"call": timings.each(each.label).times(1e-3)}) for each in contestants.values()]
    budgets = [
        Budget(each.label, timings.each(each.label).times(1e-3), BUDGET_MICROSECONDS, "us")
        for key, each in contestants.items()
        if key.startswith(("set", "create"))
    ]
    method = (
        f"CPU time of the calling thread, in a process that remembers as many versions as it can, {MAX_MODELS}; least "
        f"of {ROUNDS_PER_BLOCK} slices of {CALLS_PER_SLICE} calls, median of {BLOCKS} such blocks, and quartiles"
    )
    return Report([Table("calls", method, [Column("call", "us")], rows)], budgets)


def _contestants() -> dict[str, Contestant]:
    known = otel_loggedmodel.create_external_model("support-agent", params=_params(0), tags=TAGS)
    numbers = itertools.count(1)

    def set_by_name(count: int) -> None:
        for _ in range(count):
            otel_loggedmodel.set_active_model(name="support-agent")

    def set_by_id(count: int) -> None:
        for _ in range(count):
            otel_loggedmodel.set_active_model(model_id=known.model_id)

    def set_for_block(count: int) -> None:
        for _ in range(count):
            with otel_loggedmodel.set_active_model(model_id=known.model_id):
                pass

    def create_new(count: int) -> None:
        for _ in range(count):
            otel_loggedmodel.create_external_model("other-agent", params=_params(next(numbers)), tags=TAGS)

    def create_same(count: int) -> None:
        params = _params(0)
        for _ in range(count):
            otel_loggedmodel.create_external_model("support-agent", params=params, tags=TAGS)

    def use_by_model(count: int) -> None:
        for _ in range(count):
            with otel_loggedmodel.use_model(known):
                pass

    def use_by_name(count: int) -> None:
        for _ in range(count):
            with otel_loggedmodel.use_model(name="support-agent"):
                pass

    def get(count: int) -> None:
        for _ in range(count):
            otel_loggedmodel.get_active_model_id()

    def remember() -> None:
        # What `create_new` makes pushes older versions out.
        otel_loggedmodel.create_external_model("support-agent", params=_params(0), tags=TAGS)
        otel_loggedmodel.set_active_model(name="support-agent")

    def here(label: str, run: Callable[[int], None]) -> Contestant:
        return Contestant(label, run, remember, otel_loggedmodel.clear_active_model)

    return {
        "set by name": here("set_active_model(name)", set_by_name),
        "set by id": here("set_active_model(model_id)", set_by_id),
        "set block": here("with set_active_model(model_id)", set_for_block),
        "create new": here("create_external_model, 10 params and 5 tags, new content", create_new),
        "create same": here("create_external_model, 10 params and 5 tags, same content", create_same),
        "use model": here("with use_model(model)", use_by_model),
        "use name": here("with use_model(name)", use_by_name),
        "get": here("get_active_model_id()", get),
    }


def _fill_catalogue() -> None:
    for number in range(2 * MAX_MODELS):
        otel_loggedmodel.create_external_model("filler", params=_params(number), tags=TAGS)


def _params(number: int) -> dict[str, str]:
    return {f"param.{index}": f"value {index} of configuration {number}" for index in range(10)}
