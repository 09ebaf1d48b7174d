# SPDX-License-Identifier: Apache-2.0
"""`traces`: the traces of a version, and one trace."""

import enum
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import short_id
from otel_loggedmodel.store.reading import Reader, Selection, TraceFilter, UnknownVersionError
from otel_loggedmodel.store.trace_results import Trace, TraceSummary

if TYPE_CHECKING:
    from rich.text import Text

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPANS_ON_A_TERMINAL: Final = 1000

EXAMPLES: Final = """
otel-loggedmodel traces my-agent-v2 --errors --since 24h
otel-loggedmodel traces my-agent-v2 --text refund --score 'correct<0.5'
otel-loggedmodel traces my-agent-v1 my-agent-v2 --order slowest --limit 5
otel-loggedmodel traces 4bf92f3577b34da6a3ce929d0e0e4736 --messages
"""


class Order(str, enum.Enum):
    """The order in which traces are listed."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    COSTLIEST = "costliest"
    WORST = "worst"


def traces(
    versions: Annotated[
        list[str] | None, typer.Argument(metavar="[VERSION]...", help="Versions; or a trace id, to show its spans.")
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
    """List the traces of versions, or of all, or show the spans of one."""
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
        found = reader.trace(trace_id.lower()) if trace_id else _found(reader, versions or None, which, selection)
    if isinstance(found, Trace):
        _show_trace(found, json, limit, offset, with_messages=messages)
    elif json:
        printing.show_json({"traces": found})
    elif found:
        _show_list(found)
        if len(found) == which.limit:
            printing.complain(f"There may be more: --offset {offset + which.limit} shows the next.")
    else:
        printing.complain("No trace matches.")


def _found(
    reader: Reader, versions: Sequence[str] | None, which: TraceFilter, selection: Selection
) -> list[TraceSummary] | Trace:
    try:
        return reader.traces(versions, which, selection)
    except UnknownVersionError:
        # A version's id has as many digits as a trace id, so a version goes first.
        if versions is None or len(versions) > 1 or not _TRACE_ID.fullmatch(versions[0].lower()):
            raise
        return reader.trace(versions[0].lower())


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


def _show_list(found: Sequence[TraceSummary]) -> None:
    """A table, or a few lines for each trace where a table has no room for what was asked and answered."""
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted_with

    columns = [
        Column("began", [formatting.instant(trace.start_ns / 1_000_000) for trace in found], whole=True, importance=5),
        Column("trace", [trace.trace_id for trace in found], whole=True),
        Column("took", [formatting.milliseconds(trace.duration_ms) for trace in found], number=True),
        Column("", [Text("error", "red") if trace.error else Text("ok", "dim") for trace in found]),
        Column("tokens", [_tokens(trace) for trace in found], number=True, importance=3),
        Column("cost", [formatting.dollars(trace.cost_usd) for trace in found], number=True, importance=6),
        Column("scores", [_scores(trace) for trace in found], importance=7, clipped=16),
        Column("input", [trace.input or "" for trace in found], importance=8, clipped=30),
        Column("output", [_outcome(trace) for trace in found], importance=8, clipped=30),
        Column("span", [trace.span_name for trace in found], importance=2),
        Column("service", [trace.service for trace in found], importance=1),
        Column("version", [short_id(trace.model_id) for trace in found], importance=4, whole=True),
    ]
    table = fitted_with([column for column in columns if any(map(_says_something, column.cells))], 7)
    printing.show(*(table if table is not None else [line for trace in found for line in _lines(trace)]))


def _lines(trace: TraceSummary) -> Iterator["Text"]:
    """A trace on a narrow terminal: its id and outcome, what was asked, what came out, and its numbers."""
    from rich.text import Text

    from otel_loggedmodel.presenting.texts import clean

    width = printing.console_for(sys.stdout).width

    def line(*parts: tuple[str, str]) -> Text:
        text = Text()
        for part, style in parts:
            text.append(clean(part), style)
        # The id is never cut, as people copy it.
        text.truncate(max(width, len(trace.trace_id)), overflow="ellipsis")
        return text

    began, took = formatting.instant(trace.start_ns / 1_000_000), formatting.milliseconds(trace.duration_ms)
    outcome = ("error", "red") if trace.error else ("ok", "dim")
    yield line((f"{trace.trace_id}  {began}  {took}  ", ""), outcome)
    if trace.input:
        yield line(("  > ", "dim"), (trace.input, ""))
    if said := _outcome(trace):
        yield line(("  < ", "dim"), (said, "red" if trace.error else ""))
    tokens = _tokens(trace)
    numbers = (
        short_id(trace.model_id),
        _scores(trace),
        f"{tokens} tokens" if tokens else "",
        formatting.dollars(trace.cost_usd) if trace.cost_usd is not None else "",
        trace.span_name,
        trace.service,
    )
    yield line(("    " + ", ".join(filter(None, numbers)), "dim"))


def _tokens(trace: TraceSummary) -> str:
    """Tokens in and out, where both are known."""
    if trace.input_tokens is None or trace.output_tokens is None:
        return ""
    return f"{formatting.count(trace.input_tokens)} → {formatting.count(trace.output_tokens)}"


def _outcome(trace: TraceSummary) -> str:
    """What came out, or why nothing did."""
    return trace.reason or trace.status_message or trace.output or ""


def _says_something(cell: object) -> bool:
    return str(cell) not in ("", formatting.ABSENT)


def _scores(trace: TraceSummary) -> str:
    return ", ".join(f"{name} {formatting.score(mean)}" for name, mean in sorted(trace.scores.items()))
