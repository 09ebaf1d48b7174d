# SPDX-License-Identifier: Apache-2.0
"""`import otlp` and `import jaeger`: what others have kept, into a store of ours."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_loggedmodel.commands import exits, opening, options, printing
from otel_loggedmodel.commands.serve import Logs
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.selecting import TIME_HELP
from otel_loggedmodel.presenting.texts import without_secrets

if TYPE_CHECKING:
    from otel_loggedmodel.commands.carrying.jaeger_import import ImportedServices
    from otel_loggedmodel.commands.carrying.otlp_files import ImportedFile

OTLP_EXAMPLES: Final = """
otel-loggedmodel import otlp otel-spans.jsonl
otel-loggedmodel import otlp /var/lib/otelcol/spans*.jsonl --store chdb:///var/lib/spans

Running it again imports what was added since; after a kill it goes on where it was.
"""

_GO_ON: Final = "Run the command again then: what is stored already is not asked for a second time."

JAEGER_EXAMPLES: Final = """
otel-loggedmodel import jaeger http://jaeger:16686 --service shop --since 7d
otel-loggedmodel import jaeger http://victoriatraces:10428/select/jaeger --since 1d

Running it again brings what is new; after a kill it goes on where it was.
"""

Again = Annotated[bool, typer.Option("--again", help="Begin at the beginning, whatever an earlier import has come to.")]
AllLogs = Annotated[
    Logs,
    typer.Option(
        "--logs", help="Which log records are kept: those that carry a version or are an event that is read, or all."
    ),
]


def otlp(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files with spans or log records.")],
    again: Again = False,
    logs: AllLogs = Logs.VERSIONED,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Import files of OTLP: what the Collector's `file` exporter writes, or one request, as JSON or protobuf.

    They may be compressed with gzip or zstd, each request by itself or the file as a whole. They are read piece by
    piece, so that they may be of any size. Of a file that is damaged or still being written, what is sound is imported.
    """
    from otel_loggedmodel._counting import Counting
    from otel_loggedmodel.commands.carrying.otlp_files import FileImport, ImportedFile
    from otel_loggedmodel.commands.carrying.positions import Positions
    from otel_loggedmodel.commands.carrying.sink import Sink
    from otel_loggedmodel.commands.exchange.filling import opened

    url = store or opening.default_target()
    done: list[ImportedFile] = []
    with (
        opened(url, opening.read_token(token_file)) as filled,
        Counting("Importing", "spans and log records", say=printing.complain) as counting,
    ):

        def advance(so_far: ImportedFile, part: float) -> None:
            total = sum(one.spans + one.log_records for one in [*done, so_far])
            counting.at(total, f"{part:.0%} of {Path(so_far.path).name}")

        work = FileImport(lambda: Sink(filled, all_logs=logs is Logs.ALL), Positions(url), advance, again=again)
        for path in files:
            done.append(work.run(path))
    if json:
        printing.show_json({"store": without_secrets(url), "files": [dataclasses.asdict(one) for one in done]})
    else:
        for one in done:
            _show_file(one)
    if any(one.wrong for one in done):
        raise typer.Exit(exits.USAGE)
    if not all(one.is_whole for one in done):
        raise typer.Exit(exits.UNDELIVERED)


def jaeger(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Of Jaeger's query service, as a browser has it; http://user:password@host:16686 is one, too.",
        ),
    ],
    service: Annotated[
        list[str] | None,
        typer.Option("--service", metavar="NAME", help="Of this service. Repeatable. Default: of all."),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help=f"Begun then or later: {TIME_HELP}.")] = "1d",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Begun before. Default: now.", show_default=False)
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=4, max=100_000, help="How many traces are asked for at once, at most.")
    ] = 1000,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="For each answer.")] = 60.0,
    jaeger_token_file: Annotated[
        Path | None,
        typer.Option(
            "--jaeger-token-file", metavar="FILE", help="File with a token for Jaeger, which is sent as a bearer token."
        ),
    ] = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Import traces from Jaeger, with any storage, or from VictoriaTraces, through Jaeger's query API.

    The time is divided so that no answer is cut off. Spans that the store has are left out.
    """
    from otel_loggedmodel._counting import Counting
    from otel_loggedmodel.commands.carrying.jaeger_api import JaegerApi, JaegerError
    from otel_loggedmodel.commands.carrying.jaeger_import import ImportedServices, JaegerImport
    from otel_loggedmodel.commands.carrying.positions import Positions
    from otel_loggedmodel.commands.carrying.sink import Sink
    from otel_loggedmodel.commands.exchange.filling import opened

    selection = options.read_selection(since, until, None, None)
    token = opening.read_token(jaeger_token_file) if jaeger_token_file is not None else None
    now = datetime.now(timezone.utc)
    target = store or opening.default_target()
    try:
        with (
            closing(JaegerApi(url, token, timeout)) as api,
            opened(target, opening.read_token(token_file)) as filled,
            Counting("Importing", "traces", say=printing.complain) as counting,
        ):

            def advance(so_far: ImportedServices, until_us: int) -> None:
                counting.at(
                    so_far.traces, f"up to {datetime.fromtimestamp(until_us / 1e6, timezone.utc):%Y-%m-%d %H:%M} UTC"
                )

            work = JaegerImport(api, Sink(filled), Positions(target), advance, known=filled.known, limit=limit)
            result = work.run(
                service or (), _microseconds(selection.since or now), _microseconds(selection.until or now)
            )
    except JaegerError as error:
        printing.complain(f"otel-loggedmodel: {error}")
        printing.complain(_GO_ON)
        raise typer.Exit(exits.STORE_UNAVAILABLE) from None
    if json:
        printing.show_json({"jaeger": api.url, "store": without_secrets(target), **dataclasses.asdict(result)})
    else:
        _show_services(result, api.url)
    if result.carried.refused or result.cut:
        raise typer.Exit(exits.UNDELIVERED)


def _microseconds(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def _show_services(result: "ImportedServices", url: str) -> None:
    from otel_loggedmodel.presenting.texts import clean

    services = ", ".join(map(clean, result.services)) or "no service"
    said = [f"{formatting.number_of(result.traces, 'trace')}", *_imported(result.carried.spans, 0)]
    if result.known:
        said.append(f"{result.known:,} were there already")
    printing.write(f"{clean(url)}, {services}: {', '.join(said)}\n")
    if not result.traces:
        printing.complain("None was found: see --service and --since, and how long that backend keeps traces.")
    for time_us in result.cut:
        time = datetime.fromtimestamp(time_us / 1e6, timezone.utc)
        printing.complain(f"More traces began at {time:%Y-%m-%d %H:%M:%S.%f} UTC than --limit: say a higher one.")
    _complain(result.carried.refused, result.carried.reasons)


def _show_file(result: "ImportedFile") -> None:
    from otel_loggedmodel.presenting.texts import clean

    name = clean(result.path)
    if result.wrong:
        printing.complain(f"{name} is not imported: {result.wrong}")
        return
    parts = {
        "log records without a version left out (--logs all)": result.not_kept,
        "requests with metrics or profiles left out": result.others,
    }
    said = _imported(result.spans, result.log_records)
    said += [f"{number:,} {what}" for what, number in parts.items() if number]
    if result.before:
        said.append(f"{result.before:,} were imported before")
    printing.write(f"{name}: {', '.join(said)}\n")
    if result.cut:
        printing.complain(f"{name} is not whole: {result.cut}. Run the command again when it is.")
    _complain(result.refused, result.reasons)


def _imported(spans: int, log_records: int) -> list[str]:
    said = [f"{formatting.number_of(spans, 'span')} imported"]
    if log_records:
        said.append(f"{formatting.number_of(log_records, 'log record')} imported")
    return said


def _complain(refused: int, reasons: Sequence[str]) -> None:
    if refused:
        printing.complain(f"  {refused:,} not imported:")
    for reason in reasons:
        printing.complain(f"  {reason}")
