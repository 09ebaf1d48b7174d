# SPDX-License-Identifier: Apache-2.0
"""`mlflow import` and `mlflow push`: from an MLflow server into a store of ours, and the other way."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_loggedmodel.commands import exits, opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.store.reading import Reader, ReadingError, Selection, VersionFilter
from otel_loggedmodel.store.version_results import Version

if TYPE_CHECKING:
    from otel_loggedmodel.commands.exchange.importing import Imported
    from otel_loggedmodel.commands.exchange.pushing import Pushed
    from otel_loggedmodel.mlflow_server.rest import Server

IMPORT_EXAMPLES: Final = """
MLFLOW_TRACKING_URI=http://mlflow:5000 otel-loggedmodel mlflow import
otel-loggedmodel mlflow import --server http://mlflow:5000 --experiment support --filter "name = 'my-agent'"

User, password, token and certificates are read from MLflow's own variables, such as MLFLOW_TRACKING_TOKEN.
Running it again changes nothing; after a kill it goes on where it was.
"""
PUSH_EXAMPLES: Final = """
MLFLOW_TRACKING_URI=http://mlflow:5000 otel-loggedmodel mlflow push --since 7d
otel-loggedmodel mlflow push my-agent-v1 my-agent-v2 --server http://mlflow:5000 --experiment support

User, password, token and certificates are read from MLflow's own variables, such as MLFLOW_TRACKING_TOKEN.
Spans are not sent: traces are linked that the server has. Running it again adds nothing twice.
"""

_EVERY_VERSION: Final = VersionFilter(limit=10_000)
_GO_ON: Final = "Run the command again then: what is done already is not done a second time."

TrackingServer = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="The MLflow server, such as http://mlflow:5000. Default: MLFLOW_TRACKING_URI.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def import_(
    experiment: Annotated[
        list[str] | None,
        typer.Option("--experiment", metavar="ID|NAME", help="Of this experiment. Repeatable. Default: of all."),
    ] = None,
    filter_text: Annotated[
        str | None,
        typer.Option("--filter", metavar="FILTER", help="Those that MLflow's search_logged_models finds with this."),
    ] = None,
    server: TrackingServer = None,
    dry_run: DryRun = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Make the LoggedModels of an MLflow server versions of the store, with their params, tags and status.

    They keep MLflow's ids, so that spans with these ids get a name. A LoggedModel that this library made there comes
    back under its own id. Deleted ones are left out.
    """
    from otel_loggedmodel._counting import Counting
    from otel_loggedmodel.commands.exchange.asking import Asked
    from otel_loggedmodel.commands.exchange.filling import opened
    from otel_loggedmodel.commands.exchange.finding import experiments_of
    from otel_loggedmodel.commands.exchange.importing import Import

    with _tracking_server(server) as far:
        asked = Asked(far)
        chosen = list(experiments_of(asked, experiment or ()))
        url = store or opening.default_store()
        with (
            opened(url, opening.read_token(token_file), read_only=dry_run) as filled,
            Counting("Importing", "LoggedModels", say=printing.complain) as counting,
        ):
            work = Import(asked, filled.reader, filled.writer, lambda so_far: counting.at(so_far.found))
            result = work.run(chosen, filter_text)
    if json:
        document = {"server": far.settings.uri, "dry_run": dry_run, "experiments": chosen}
        printing.show_json({**document, **dataclasses.asdict(result)})
    else:
        _show_imported(result, len(chosen), far.settings.uri, dry_run=dry_run)
    if result.refused:
        raise typer.Exit(exits.UNDELIVERED)


def push(
    version: Annotated[
        list[str] | None, typer.Argument(metavar="VERSION", help="Default: all.", show_default=False)
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            metavar="ID|NAME",
            help="Where LoggedModels are made. Default: MLFLOW_EXPERIMENT_ID, MLFLOW_EXPERIMENT_NAME, else 0, or in a"
            " workspace Default.",
            show_default=False,
        ),
    ] = None,
    relink: Annotated[
        bool, typer.Option("--relink", help="Link traces, too, that are linked to another LoggedModel.")
    ] = False,
    server: TrackingServer = None,
    dry_run: DryRun = False,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Make the store's versions LoggedModels of an MLflow server, link its traces to them, and add their scores.

    A trace is linked if the server has it, which it does if it got the same spans. The others are counted.
    """
    from otel_loggedmodel._counting import Counting
    from otel_loggedmodel.commands.exchange.asking import Asked
    from otel_loggedmodel.commands.exchange.pushing import Push

    selection = options.read_selection(since, until, service, attribute)
    with (
        _tracking_server(server) as any_experiment,
        _in_experiment(any_experiment, experiment, dry_run=dry_run) as far,
        closing(opening.reader_at(store or opening.default_store(), opening.read_token(token_file))) as reader,
    ):
        with printing.progress("Reading versions"):
            versions = _versions(reader, version or (), selection)
        total = sum(one.traces for one in versions)
        with Counting("Pushing", "traces", total, say=printing.complain) as counting:
            work = Push(
                Asked(far),
                reader,
                relink=relink,
                dry_run=dry_run,
                advance=lambda push: counting.at(push.seen, _remark(push.result)),
            )
            result = work.run(versions, selection)
    if json:
        printing.show_json({"server": far.settings.uri, "dry_run": dry_run, **dataclasses.asdict(result)})
    else:
        _show_pushed(result, far.settings.uri, dry_run=dry_run)
    if result.refused:
        raise typer.Exit(exits.UNDELIVERED)


@contextmanager
def _tracking_server(uri: str | None) -> "Iterator[Server]":
    """The server. It is closed afterwards. What it refuses becomes a message and an exit code."""
    from otel_loggedmodel.commands.exchange.finding import UnknownExperimentError
    from otel_loggedmodel.mlflow_server.rest import Server, ServerError
    from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError

    try:
        server = Server(Settings.from_environment(uri))
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
    try:
        yield server
    except UnknownExperimentError as error:
        printing.complain(f"otel-loggedmodel: {error}")
        raise typer.Exit(exits.USAGE) from None
    except ServerError as error:
        printing.complain(f"otel-loggedmodel: {error}")
        if error.is_of_content:
            raise typer.Exit(exits.USAGE) from None
        printing.complain(_GO_ON)
        raise typer.Exit(exits.STORE_UNAVAILABLE) from None
    finally:
        server.close()


@contextmanager
def _in_experiment(server: "Server", named: str | None, *, dry_run: bool) -> "Iterator[Server]":
    """The server with the experiment that LoggedModels are made in. The experiment is made if it is new.

    On a dry run nothing is made, so it has to be there.
    """
    from otel_loggedmodel.commands.exchange.asking import Asked
    from otel_loggedmodel.commands.exchange.finding import UnknownExperimentError, experiments_of
    from otel_loggedmodel.mlflow_server.rest import Server

    settings = server.settings
    wanted = named or settings.experiment_id or settings.experiment_name
    if wanted is not None:
        try:
            (found,) = experiments_of(Asked(server), [wanted])
            settings = dataclasses.replace(settings, experiment_id=found.experiment_id, experiment_name=None)
        except UnknownExperimentError:
            if dry_run or wanted.isdecimal():
                raise
            settings = dataclasses.replace(settings, experiment_id=None, experiment_name=wanted)
    chosen = Server(settings)
    try:
        yield chosen
    finally:
        chosen.close()


def _versions(reader: Reader, named: Sequence[str], selection: Selection) -> list[Version]:
    """The versions that are to be pushed, and how many traces there are to look at."""
    if not named:
        every = reader.versions(_EVERY_VERSION, selection)
        if len(every) == _EVERY_VERSION.limit:
            printing.complain(f"Only the newest {_EVERY_VERSION.limit:,} versions are pushed: name others.")
        return every
    found = {}
    for name in named:
        version = reader.version(name, selection).version
        if version.deleted:
            raise ReadingError(f"{name} is deleted, and deleted versions are not pushed")
        found[version.model_id] = version
    return list(found.values())


def _remark(result: "Pushed") -> str:
    return f"{result.linked:,} linked, {result.scores:,} scores"


def _show_imported(result: "Imported", experiments: int, uri: str, *, dry_run: bool) -> None:
    parts = {
        "to be created" if dry_run else "created": result.created,
        "to be updated" if dry_run else "updated": result.updated,
        "unchanged": result.unchanged,
        "deleted here, and left so": result.deleted,
        "standing for a version that was read before": result.repeated,
        "refused by the store": result.refused,
    }
    found = formatting.number_of(result.found, "LoggedModel")
    _say(f"{found} in {formatting.number_of(experiments, 'experiment')} of {uri}", parts, result.refusals)
    if not result.found:
        printing.complain("None was found: see --experiment and --filter, and whether this user may read them.")


def _show_pushed(result: "Pushed", uri: str, *, dry_run: bool) -> None:
    made, linked, added = ("to be made", "to be linked", "to be added") if dry_run else ("made", "linked", "added")
    _say(
        f"{formatting.number_of(result.versions, 'version')} for {uri}",
        {made: result.made, "there already": result.found, "of unknown name, left out": result.nameless},
    )
    _say(
        f"{formatting.traces(result.traces)} of theirs",
        {
            linked: result.linked,
            "linked already": result.already,
            "linked to another LoggedModel, and left so (--relink)": result.otherwise,
            "not on that server": result.absent,
        },
    )
    said = result.scores + result.scores_already
    if said:
        _say(formatting.number_of(said, "score"), {added: result.scores, "there already": result.scores_already})
    _say("", {"refused by the server": result.refused}, result.refusals)
    if result.other_experiments:
        printing.complain(
            f"In another experiment than their LoggedModels: {formatting.traces(result.other_experiments)}. "
            "--experiment names the one to make LoggedModels in."
        )
    if result.traces and result.absent == result.traces:
        printing.complain("That server has none of these traces: they are linked once it gets the spans, over OTLP.")
    if not result.versions:
        printing.complain("No version matches; `otel-loggedmodel models` lists them.")


def _say(what: str, parts: Mapping[str, int], refusals: Mapping[str, str] | None = None) -> None:
    from otel_loggedmodel.presenting.texts import clean

    counted = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    if what or counted:
        printing.write(f"{clean(what)}{': ' if what and counted else ''}{counted}\n")
    for which, words in (refusals or {}).items():
        printing.complain(f"  {which}: {words}")
