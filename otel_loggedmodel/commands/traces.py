# SPDX-License-Identifier: Apache-2.0
"""`traces`: the traces of a version, and one trace."""

import enum
import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.store.reading import Reader, Selection, TraceFilter, UnknownVersionError
from otel_loggedmodel.store.results import Trace, TraceSummary

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


EXAMPLES: Final = """
otel-loggedmodel traces my-agent-v2 --errors --since 24h
otel-loggedmodel traces my-agent-v2 --order slowest --limit 5
otel-loggedmodel traces 4bf92f3577b34da6a3ce929d0e0e4736
"""


class Order(str, enum.Enum):
    """In what order traces are listed."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    COSTLIEST = "costliest"
    WORST = "worst"


def traces(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version, or a trace id, of which the spans are shown.")
    ] = None,
    trace_id: Annotated[
        str | None, typer.Option("--id", metavar="TRACE_ID", help="Show the spans of this trace.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Failed ones only.")] = False,
    order: Annotated[Order, typer.Option("--order", help="`worst` is by the mean of their scores.")] = Order.NEWEST,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many.")] = 0,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List the traces of a version, or of all, or show the spans of one."""
    if trace_id is not None and not _TRACE_ID.fullmatch(trace_id.lower()):
        raise typer.BadParameter("a trace id has 32 hex digits", param_hint="--id")
    selection = options.read_selection(
        since, until, service, attribute, dataset=dataset, production=production, prompt=prompt, agent=agent
    )
    which = TraceFilter(errors_only=errors, order=order.value, limit=limit, offset=offset)
    with opening.reader(store, token_file, "Reading traces", prices) as reader:
        found = reader.trace(trace_id.lower()) if trace_id else _found(reader, version, which, selection)
    if isinstance(found, Trace):
        _show_trace(found, json)
    elif json:
        printing.show_json({"traces": found})
    elif found:
        _show_table(found)
        if len(found) == limit:
            printing.complain(f"There may be more: --offset {offset + limit} shows the next.")
    else:
        printing.complain("No trace matches.")


def _found(reader: Reader, version: str | None, which: TraceFilter, selection: Selection) -> list[TraceSummary] | Trace:
    try:
        return reader.traces(version, which, selection)
    except UnknownVersionError:
        # The digits of a version's id are as many as those of a trace id, so a version goes first.
        if version is None or not _TRACE_ID.fullmatch(version.lower()):
            raise
        return reader.trace(version.lower())


def _show_trace(trace: Trace, json: bool) -> None:
    if json:
        printing.show_json(trace)
        return
    from otel_loggedmodel.commands.waterfall import rendered

    printing.show(*rendered(trace))


def _show_table(found: Sequence[TraceSummary]) -> None:
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted

    columns = [
        Column("began", [formatting.instant(trace.start_ns / 1_000_000) for trace in found], whole=True, importance=8),
        Column("trace", [trace.trace_id for trace in found], whole=True),
        Column("took", [formatting.milliseconds(trace.duration_ms) for trace in found], number=True),
        Column("", [Text("error", "red") if trace.error else Text("ok", "dim") for trace in found]),
        Column("tokens in", [formatting.count(trace.input_tokens) for trace in found], number=True, importance=5),
        Column("tokens out", [formatting.count(trace.output_tokens) for trace in found], number=True, importance=5),
        Column("cost", [formatting.dollars(trace.cost_usd) for trace in found], number=True, importance=6),
        Column("scores", [_scores(trace) for trace in found], importance=4),
        Column("span", [trace.span_name for trace in found], importance=7),
        Column("service", [trace.service for trace in found], importance=3),
        Column("version", [trace.model_id for trace in found], importance=2, whole=True),
        Column("message", [trace.status_message for trace in found], importance=1),
    ]
    printing.show(*fitted([column for column in columns if any(map(_says_something, column.cells))]))


def _says_something(cell: object) -> bool:
    return str(cell) not in ("", formatting.ABSENT)


def _scores(trace: TraceSummary) -> str:
    return ", ".join(f"{name} {formatting.score(mean)}" for name, mean in sorted(trace.scores.items()))
