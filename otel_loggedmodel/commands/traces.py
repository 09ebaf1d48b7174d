# SPDX-License-Identifier: Apache-2.0
"""`traces`: the traces of a version, and one trace."""

import enum
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import short_id
from otel_loggedmodel.store.reading import Reader, Selection, TraceFilter, UnknownVersionError
from otel_loggedmodel.store.trace_results import Trace, TraceSummary

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPANS_ON_A_TERMINAL: Final = 1000

EXAMPLES: Final = """
otel-loggedmodel traces my-agent-v2 --errors --since 24h
otel-loggedmodel traces my-agent-v2 --text refund --score 'correct<0.5'
otel-loggedmodel traces my-agent-v2 --order slowest --limit 5
otel-loggedmodel traces 4bf92f3577b34da6a3ce929d0e0e4736 --messages
"""


class Order(str, enum.Enum):
    """The order in which traces are listed."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    COSTLIEST = "costliest"
    WORST = "worst"


def traces(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version; or a trace id, to show its spans.")
    ] = None,
    trace_id: Annotated[
        str | None, typer.Option("--id", metavar="TRACE_ID", help="Show the spans of this trace.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Failed ones only.")] = False,
    text: Annotated[
        str | None, typer.Option("--text", help="In which any span has this text: in an input, an output, an error.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="In which this model was called.")
    ] = None,
    error_type: Annotated[
        str | None, typer.Option("--error-type", metavar="TYPE", help="That failed with this type of error.")
    ] = None,
    route: Annotated[
        str | None, typer.Option("--route", help="Of this route, or whose entry span has this name.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="ID", help="That are turns of this conversation.")
    ] = None,
    score: Annotated[
        str | None, typer.Option("--score", metavar="BOUND", help="Whose score is within a bound: 'correct<0.5'.")
    ] = None,
    order: Annotated[Order, typer.Option("--order", help="`worst` is by the mean of their scores.")] = Order.NEWEST,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            max=10_000,
            help=f"At most so many. Default: {TraceFilter.limit} traces; of one trace {_SPANS_ON_A_TERMINAL} spans on "
            "a terminal, else all.",
            show_default=False,
        ),
    ] = None,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many.")] = 0,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    messages: Annotated[
        bool, typer.Option("--messages", help="For one trace, also what application and models said to each other.")
    ] = False,
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
    which = TraceFilter(
        errors_only=errors,
        text=text,
        model=model,
        error_type=error_type,
        route=route,
        conversation=conversation,
        score=score,
        order=order.value,
        limit=limit or TraceFilter.limit,
        offset=offset,
    )
    with opening.reader(store, token_file, "Reading traces", prices) as reader:
        found = reader.trace(trace_id.lower()) if trace_id else _found(reader, version, which, selection)
    if isinstance(found, Trace):
        _show_trace(found, json, limit, offset, with_messages=messages)
    elif json:
        printing.show_json({"traces": found})
    elif found:
        _show_table(found)
        if len(found) == which.limit:
            printing.complain(f"There may be more: --offset {offset + which.limit} shows the next.")
    else:
        printing.complain("No trace matches.")


def _found(reader: Reader, version: str | None, which: TraceFilter, selection: Selection) -> list[TraceSummary] | Trace:
    try:
        return reader.traces(version, which, selection)
    except UnknownVersionError:
        # A version's id has as many digits as a trace id, so a version goes first.
        if version is None or not _TRACE_ID.fullmatch(version.lower()):
            raise
        return reader.trace(version.lower())


def _show_trace(trace: Trace, json: bool, limit: int | None, offset: int, *, with_messages: bool) -> None:
    if json:
        printing.show_json(_with_messages(trace))
        return
    from otel_loggedmodel.commands.conversations import conversations, have_messages
    from otel_loggedmodel.commands.waterfall import rendered

    if limit is None:
        # A table takes a third of a millisecond for each line, and nobody reads thousands of lines on a terminal.
        limit = _SPANS_ON_A_TERMINAL if sys.stdout.isatty() else len(trace.spans)
    printing.show(*rendered(trace, limit, offset))
    left = len(trace.spans) - offset - limit
    if left > 0:
        printing.complain(
            f"There {'is' if left == 1 else 'are'} {left} more: --offset {offset + limit} shows the next, --json all."
        )
    if trace.left_out:
        printing.complain(f"The trace has {trace.left_out} later spans, which are too many to be read at once.")
    if with_messages:
        printing.show(*conversations(trace))
    elif have_messages(trace):
        printing.complain("Spans of this trace have messages: --messages shows them.")


def _with_messages(trace: Trace) -> dict[str, object]:
    """The trace with the messages of each span beside what it carries."""
    from otel_loggedmodel.commands.conversations import as_json

    spans = [{**_fields(span), "messages": as_json(span)} for span in trace.spans]
    return {**_fields(trace), "spans": spans}


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


def _show_table(found: Sequence[TraceSummary]) -> None:
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted

    columns = [
        Column("began", [formatting.instant(trace.start_ns / 1_000_000) for trace in found], whole=True, importance=6),
        Column("trace", [trace.trace_id for trace in found], whole=True),
        Column("took", [formatting.milliseconds(trace.duration_ms) for trace in found], number=True),
        Column("", [Text("error", "red") if trace.error else Text("ok", "dim") for trace in found]),
        Column("tokens in", [formatting.count(trace.input_tokens) for trace in found], number=True, importance=4),
        Column("tokens out", [formatting.count(trace.output_tokens) for trace in found], number=True, importance=4),
        Column("cost", [formatting.dollars(trace.cost_usd) for trace in found], number=True, importance=5),
        Column("scores", [_scores(trace) for trace in found], importance=8),
        Column("input", [trace.input or "" for trace in found], importance=9),
        Column("output", [trace.reason or trace.status_message or trace.output or "" for trace in found], importance=7),
        Column("span", [trace.span_name for trace in found], importance=3),
        Column("service", [trace.service for trace in found], importance=1),
        Column("version", [short_id(trace.model_id) for trace in found], importance=2, whole=True),
    ]
    printing.show(*fitted([column for column in columns if any(map(_says_something, column.cells))]))


def _says_something(cell: object) -> bool:
    return str(cell) not in ("", formatting.ABSENT)


def _scores(trace: TraceSummary) -> str:
    return ", ".join(f"{name} {formatting.score(mean)}" for name, mean in sorted(trace.scores.items()))
