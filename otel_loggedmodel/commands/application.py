# SPDX-License-Identifier: Apache-2.0
"""Puts the commands together, and says what all of them do when something goes wrong."""

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from otel_loggedmodel.commands import (
    compare,
    dataset,
    defects,
    doctor,
    env,
    evaluate,
    exits,
    export,
    gate,
    import_,
    keeping,
    mcp,
    mlflow,
    models,
    prepare,
    runs,
    serve,
    show,
    spool,
    traces,
    watch,
)
from otel_loggedmodel.commands.printing import complain, is_read_no_more, is_unwritable, write
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError, UnknownVersionError
from otel_loggedmodel.store.sparing import spare_pyarrow
from otel_loggedmodel.version import __version__

_HELP = """
Which version of an application produced a trace, and is the new one better?

\botel-loggedmodel serve                          receive spans, on this machine
otel-loggedmodel compare my-agent-v1 my-agent-v2
otel-loggedmodel gate my-agent-v1 my-agent-v2   fail a build on a regression

A version is named by its id, the beginning of its id, or its name (its newest version).
"""


class _Commands(TyperGroup):
    """Turns what is wrong with a question or a store into a message and an exit code, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ReadingError as error:
            complain(f"otel-loggedmodel: {_said(error)}")
            raise typer.Exit(code_of(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(exits.INTERRUPTED) from None
        except (OSError, EOFError) as error:
            # For a broken pipe or an end of input, the framework would exit with 1.
            if isinstance(error, BrokenPipeError) and is_read_no_more():
                raise typer.Exit from None
            raise typer.Exit(_told(error)) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; what nothing foresaw has an exit code of its own."""
        try:
            return super().main(*args, **kwargs)
        except ModuleNotFoundError:
            raise  # `cli` says what to install
        except Exception as error:
            if isinstance(error, BrokenPipeError) and is_read_no_more():
                sys.exit()
            sys.exit(_told(error))


def _told(error: Exception) -> int:
    """Say what nothing foresaw; returns the exit code."""
    if not (isinstance(error, OSError) and is_unwritable(error)):
        return defects.tell(error)
    complain(f"otel-loggedmodel: the output cannot be written: {error.strerror}")
    return exits.UNWRITABLE


def code_of(error: ReadingError) -> int:
    """The exit code for an error."""
    return exits.STORE_UNAVAILABLE if isinstance(error, StoreUnavailableError) else exits.USAGE


def _said(error: ReadingError) -> str:
    if isinstance(error, UnknownVersionError) and error.suggestions:
        return f"{error}\nDid you mean {' or '.join(error.suggestions)}?"
    return str(error)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        write(f"otel-loggedmodel {__version__}\n")
        raise typer.Exit(exits.OK)


app = typer.Typer(
    name="otel-loggedmodel",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help=_HELP, epilog=exits.HELP)
def _application(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


_store = typer.Typer(cls=TyperGroup, no_args_is_help=True, help="Set up a store that others fill; keep one whole.")
app.add_typer(_store, name="store")
_import = typer.Typer(cls=TyperGroup, no_args_is_help=True, help="Bring in what others have kept.")
app.add_typer(_import, name="import")
_spool = typer.Typer(cls=TyperGroup, no_args_is_help=True, help="What could not be delivered yet.")
app.add_typer(_spool, name="spool")
_mlflow = typer.Typer(cls=TyperGroup, no_args_is_help=True, help="Exchange versions with an MLflow server.")
app.add_typer(_mlflow, name="mlflow")
_dataset = typer.Typer(cls=TyperGroup, no_args_is_help=True, help="Data sets that are kept in the store.")
app.add_typer(_dataset, name="dataset")


def _add(group: typer.Typer, command: Callable[..., None], examples: str, name: str | None = None) -> None:
    # A paragraph whose first line is this control character is not wrapped.
    literal = "".join(f"\n\n\b{part.strip(chr(10))}" for part in examples.split("\n\n"))
    group.command(name, help=inspect.cleandoc(command.__doc__ or "") + literal, epilog=exits.HELP)(command)


_add(app, serve.serve, serve.EXAMPLES)
_add(app, models.models, models.EXAMPLES)
_add(app, show.show, show.EXAMPLES)
_add(app, compare.compare, compare.EXAMPLES)
_add(app, traces.traces, traces.EXAMPLES)
_add(app, evaluate.evaluate, evaluate.EXAMPLES)
_add(app, runs.runs, runs.EXAMPLES)
_add(app, gate.gate, gate.EXAMPLES)
_add(app, watch.watch, watch.EXAMPLES)
_add(app, env.env, env.EXAMPLES)
_add(app, doctor.doctor, doctor.EXAMPLES)
_add(app, mcp.mcp, mcp.EXAMPLES)
_add(app, export.export, export.EXAMPLES)
_add(_dataset, dataset.list_, dataset.LIST_EXAMPLES, "list")
_add(_dataset, dataset.show, dataset.SHOW_EXAMPLES)
_add(_dataset, dataset.add, dataset.ADD_EXAMPLES)
_add(_dataset, dataset.export, dataset.EXPORT_EXAMPLES)
_add(_store, prepare.prepare, prepare.EXAMPLES)
_add(_store, keeping.repair, keeping.REPAIR_EXAMPLES)
_add(_store, keeping.backup, keeping.BACKUP_EXAMPLES)
_add(_store, keeping.restore, keeping.RESTORE_EXAMPLES)
_add(_import, import_.jaeger, import_.JAEGER_EXAMPLES)
_add(_import, import_.otlp, import_.OTLP_EXAMPLES)
_add(_spool, spool.status, spool.STATUS_EXAMPLES)
_add(_spool, spool.drain, spool.DRAIN_EXAMPLES)
_add(_spool, spool.export, spool.EXPORT_EXAMPLES)
_add(_mlflow, mlflow.import_, mlflow.IMPORT_EXAMPLES, "import")
_add(_mlflow, mlflow.push, mlflow.PUSH_EXAMPLES)


def run() -> None:
    """Run the command line with the arguments of this process."""
    for stream in (sys.stdout, sys.stderr):
        # If a terminal cannot show a character, it shows another, rather than none of the output.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    spare_pyarrow()
    app(prog_name="otel-loggedmodel")
