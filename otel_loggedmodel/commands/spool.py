# SPDX-License-Identifier: Apache-2.0
"""`spool`: what applications could not deliver yet."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otel_loggedmodel import environment
from otel_loggedmodel.commands import exits, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean

if TYPE_CHECKING:
    from otel_loggedmodel.delivery.delivering import Drained
    from otel_loggedmodel.delivery.spool_survey import Destination

STATUS_EXAMPLES: Final = """
otel-loggedmodel spool status
otel-loggedmodel spool status /var/spool/my-agent --json
"""
DRAIN_EXAMPLES: Final = """
OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 otel-loggedmodel spool drain
otel-loggedmodel spool drain --from 3f2a --endpoint http://other-collector:4318
"""
EXPORT_EXAMPLES: Final = """
otel-loggedmodel spool export > spans.jsonl
otel-loggedmodel spool export --refused --from 3f2a
"""

Directory = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIRECTORY]",
        help="The spool's directory. Default: OTEL_LOGGEDMODEL_SPOOL_DIR, else the one in the user's state directory.",
        show_default=False,
    ),
]
From = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="KEY", help="Of this destination: its key, or the beginning of it. Repeatable."),
]


def status(directory: Directory = None, json: options.Json = False) -> None:
    """Show what waits for being delivered, by destination. It changes nothing."""
    root = _root(directory)
    found = _survey(root)
    if json:
        printing.show_json({"directory": str(root), "destinations": [_as_json(one) for one in found]})
    elif found:
        _show(found)
    else:
        printing.complain(f"Nothing waits in {root}.")


def drain(
    directory: Directory = None,
    source: From = None,
    everything: Annotated[bool, typer.Option("--all", help="Of all destinations.")] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Where to deliver to, such as http://collector:4318. Default: as OTEL_EXPORTER_OTLP_* say.",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", metavar="SECONDS", min=0.1, help="Give up after so long without success.")
    ] = 30.0,
    json: options.Json = False,
) -> None:
    """Deliver what ended processes have left, as this environment's exporter is configured.

    By default this is what was meant for the same address, with any headers, and for the MLflow server and the
    experiment that MLflow's variables name. With --from or --all, what was meant for others goes out with this
    environment's credentials. What running processes have is left to them.
    """
    root = _root(directory)
    exporters = _exporters(endpoint)
    try:
        chosen = _chosen(_survey(root), source, everything, exporters)
        with printing.progress("Delivering"):
            results = [(one, _drain(one, _exporter_for(one, exporters), patience)) for one in chosen]
    finally:
        for exporter in exporters.values():
            exporter.shutdown()
    if json:
        printing.show_json({"destinations": [_drained_as_json(*result) for result in results]})
    for destination, drained in results:
        if not json:
            _say(destination, drained)
    if not results and not json:
        printing.complain(f"Nothing waits in {root} that could be delivered.")
    if any(drained.left or drained.rejected for _, drained in results):
        raise typer.Exit(exits.UNDELIVERED)


def export(
    directory: Directory = None,
    source: From = None,
    refused: Annotated[bool, typer.Option("--refused", help="Instead, what was set aside as it was refused.")] = False,
) -> None:
    """Print what waits as lines of OTLP JSON, one request a line, as the Collector's `otlpjsonfile` receiver reads it.

    It changes nothing. What is printed still waits.
    """
    from otel_loggedmodel.commands.otlp_lines import line_of
    from otel_loggedmodel.delivery.spool_survey import requests

    root = _root(directory)
    unreadable = 0
    try:
        for destination in _named(_survey(root), source):
            for record in requests(destination.directory, refused=refused):
                try:
                    sys.stdout.write(f"{line_of(record.payload, destination.signal)}\n")
                except ValueError:
                    unreadable += 1
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if unreadable:
        printing.complain(f"Left out, as they are no requests of OTLP: {unreadable}.")


def _root(directory: Path | None) -> Path:
    root = environment.spool_directory() if directory is None else directory.expanduser().absolute()
    if root is None:
        raise typer.BadParameter("there is no home directory to look in: name the spool's directory")
    return root


def _survey(root: Path) -> "list[Destination]":
    from otel_loggedmodel.delivery.spool_survey import survey

    try:
        return [destination for destination in survey(root) if any(owner.files for owner in destination.owners)]
    except OSError as error:
        printing.complain(f"otel-loggedmodel: {root} cannot be read: {error.strerror}")
        raise typer.Exit(exits.STORE_UNAVAILABLE) from None


def _named(found: "Sequence[Destination]", keys: Sequence[str] | None) -> "list[Destination]":
    if not keys:
        return list(found)
    for key in keys:
        if not any(destination.directory.name.startswith(key) for destination in found):
            known = ", ".join(destination.directory.name for destination in found) or "none"
            raise typer.BadParameter(f"no destination's key begins with {clean(key)!r}; there are: {known}")
    return [destination for destination in found if destination.directory.name.startswith(tuple(keys))]


def _exporters(endpoint: str | None) -> dict[str, Any]:
    """The environment's exporters, by the signal that they export."""
    from otel_loggedmodel.exporter import otlp_exporter_from_environment
    from otel_loggedmodel.log_exporter import otlp_log_exporter_from_environment

    if endpoint is not None:
        # Set as the standard variable, so that the exporter's own rules add the path and choose TLS.
        for signal in ("TRACES", "LOGS"):
            os.environ.pop(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", None)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    return {"traces": otlp_exporter_from_environment(), "logs": otlp_log_exporter_from_environment()}


def _chosen(
    found: "Sequence[Destination]", keys: Sequence[str] | None, everything: bool, exporters: dict[str, Any]
) -> "list[Destination]":
    from otel_loggedmodel.delivery.destinations import destination_of

    if keys or everything:
        return _named(found, keys)
    targets = {signal: destination_of(exporter) for signal, exporter in exporters.items()}
    same = [
        one
        for one in found
        if not _is_tracking(one) and (target := targets.get(one.signal)) is not None and one.endpoint == target.endpoint
    ]
    same += [one for one in found if _is_tracking(one) and one.directory.name == _tracking_key()]
    others = [one for one in found if one not in same]
    if others and not same:
        names = "\n".join(f"  --from {one.directory.name}   {_address(one)}" for one in others)
        printing.complain(f"What waits is meant for other addresses. To deliver it here all the same:\n{names}")
        raise typer.Exit(exits.USAGE)
    return same


def _is_tracking(destination: "Destination") -> bool:
    """Whether this waits for an MLflow server that is to be told something, not to be sent spans."""
    return destination.protocol == "mlflow"


def _tracking_key() -> str | None:
    """The key of the MLflow server and the experiment that the environment names."""
    if not environment.tracking_uri():
        return None
    from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError
    from otel_loggedmodel.mlflow_server.tracking import TrackingExporter

    try:
        return TrackingExporter(Settings.from_environment()).destination.key
    except SettingsError:
        return None


def _exporter_for(destination: "Destination", exporters: dict[str, Any]) -> Any:
    """The environment's exporter. If an MLflow server is to be told something, what tells that server."""
    if not _is_tracking(destination):
        return exporters["logs" if destination.signal == "logs" else "traces"]
    from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError
    from otel_loggedmodel.mlflow_server.tracking import TrackingExporter

    try:
        return TrackingExporter(Settings.from_environment(destination.endpoint))
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def _drain(destination: "Destination", exporter: Any, patience: float) -> "Drained":
    from otel_loggedmodel.delivery import delivering, signals
    from otel_loggedmodel.delivery.spool import Spool

    # Without bounds, as the user decides what to deliver: nothing is too old or too much.
    spool = Spool(destination.directory, max_bytes=sys.maxsize, max_age=float(sys.maxsize))
    signal = signals.log_records() if destination.signal == "logs" else signals.SPANS
    try:
        spool.adopt()
        delivered = rejected = 0
        while True:
            deadline = time.monotonic() + patience
            drained = delivering.drain(spool, exporter, deadline=deadline, signal=signal)
            delivered += drained.delivered
            rejected += drained.rejected
            if not drained.left or not drained.delivered or time.monotonic() < deadline:
                return delivering.Drained(delivered, rejected, drained.left, drained.error)
    finally:
        spool.close()
        if _is_tracking(destination):
            exporter.shutdown()


def _address(destination: "Destination") -> str:
    return clean(destination.endpoint or destination.protocol or "unknown")


def _show(found: "Sequence[Destination]") -> None:
    from otel_loggedmodel.commands.tables import Column, fitted

    now = time.time()
    owners = [destination.owners for destination in found]
    running = [sum(owner.is_running for owner in each) for each in owners]
    printing.show(
        *fitted(
            [
                Column("key", [destination.directory.name[:12] for destination in found], whole=True),
                Column("destination", [_address(destination) for destination in found]),
                Column("protocol", [destination.protocol or formatting.ABSENT for destination in found], importance=1),
                # Nearly always there are only spans.
                *(
                    [Column("signal", [destination.signal for destination in found], importance=2)]
                    if any(destination.signal == "logs" for destination in found)
                    else []
                ),
                Column("models", [formatting.count(sum(o.models for o in each)) for each in owners], number=True),
                Column("spans", [formatting.count(sum(o.spans for o in each)) for each in owners], number=True),
                Column("refused", [formatting.count(sum(o.refused for o in each)) for each in owners], 5, number=True),
                Column("disk", [formatting.size(sum(o.bytes for o in each)) for each in owners], 6, number=True),
                Column("oldest", [_age(one.oldest, now) for one in found], 7, number=True),
                Column(
                    "processes",
                    [f"{alive} running, {len(each) - alive} gone" for alive, each in zip(running, owners, strict=True)],
                    importance=4,
                ),
            ]
        )
    )
    newer, unreadable = (
        sum(getattr(owner, name) for each in owners for owner in each) for name in ("newer", "unreadable")
    )
    if newer:
        printing.complain(f"Files of a later version of otel-loggedmodel, which are left alone: {newer}.")
    if unreadable:
        printing.complain(f"Files that could not be read: {unreadable}.")


def _age(stored_at: float | None, now: float) -> str:
    if stored_at is None:
        return formatting.ABSENT
    age = max(0.0, now - stored_at)
    for seconds, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if age >= 2 * seconds:
            return f"{age / seconds:.0f} {unit}"
    return f"{age:.0f} s"


def _as_json(destination: "Destination") -> dict[str, Any]:
    age = None if destination.oldest is None else max(0.0, time.time() - destination.oldest)
    return {
        "key": destination.directory.name,
        "endpoint": destination.endpoint,
        "protocol": destination.protocol,
        "signal": destination.signal,
        **{
            name: sum(getattr(owner, name) for owner in destination.owners)
            for name in ("models", "spans", "refused", "files", "bytes", "newer", "unreadable")
        },
        "oldest_age_seconds": age,
        "owners": destination.owners,
    }


def _drained_as_json(destination: "Destination", drained: "Drained") -> dict[str, Any]:
    return {
        "key": destination.directory.name,
        "endpoint": destination.endpoint,
        "delivered": drained.delivered,
        "rejected": drained.rejected,
        "left": {"models": drained.left.models, "spans": drained.left.spans, "bytes": drained.left.bytes},
        "error": drained.error,
    }


def _say(destination: "Destination", drained: "Drained") -> None:
    kept = sum(owner.spans + owner.models for owner in destination.owners if owner.is_running)
    parts = [f"{drained.delivered:,} delivered"]
    if drained.rejected:
        parts.append(f"{drained.rejected:,} refused")
    if drained.left:
        parts.append(f"{drained.left.spans + drained.left.models:,} left")
    if kept:
        parts.append(f"{kept:,} with running processes")
    printing.complain(f"{_address(destination)}: {', '.join(parts)}.")
    if drained.error:
        printing.complain(f"The far end: {drained.error}")
