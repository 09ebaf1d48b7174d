# SPDX-License-Identifier: Apache-2.0
"""`show`: what one version is made of, how it does, what happened to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.metrics import metrics_of, value_of
from otel_loggedmodel.presenting.texts import clean, in_brief
from otel_loggedmodel.store.reading import Reader, UnknownRunError, UnknownVersionError
from otel_loggedmodel.store.results import VersionMetrics
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.version_results import HistoryEntry, Version, VersionDetail

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES: Final = """
otel-loggedmodel show my-agent-v2
otel-loggedmodel show m-3f2a --since 24h --json
otel-loggedmodel show after-the-fix
"""


def show(
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    runs: options.Runs = "latest",
    failed_rows: options.FailedRows = "skip",
    pass_at: options.PassAt = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Show a version: params, tags, commit, numbers, history, and how to deploy it. Or show an evaluation run."""
    selection = options.read_selection(
        since,
        until,
        service,
        attribute,
        dataset=dataset,
        production=production,
        prompt=prompt,
        agent=agent,
        runs=runs,
        failed_rows=failed_rows,
        pass_at=pass_at,
    )
    run: list[Run] | None = None
    with opening.reader(store, token_file, "Reading the version", prices) as reader:
        try:
            detail = reader.version(version, selection)
        except UnknownVersionError:
            if (run := _run(reader, version)) is None:
                raise
    if run is not None:
        from otel_loggedmodel.commands.runs import rendered

        if json:
            printing.show_json({"runs": run})
        else:
            printing.show(*rendered(run))
    elif json:
        printing.show_json(detail)
    else:
        printing.show(*_rendered(detail))


def _run(reader: Reader, text: str) -> list[Run] | None:
    try:
        return reader.run(text)
    except UnknownRunError:
        return None


def _rendered(detail: VersionDetail) -> list["RenderableType"]:
    from rich.text import Text

    from otel_loggedmodel.commands.tables import pairs

    version = detail.version
    parts: list[RenderableType] = [
        Text.assemble((clean(version.name or version.model_id), "bold"), "  ", _standing(version)),
        pairs(_identity(version)),
    ]
    for title, texts in (("Params", version.params), ("Tags", version.tags)):
        if texts:
            parts += ["", Text(title, "bold"), pairs(dict(sorted(texts.items())))]
    parts += ["", Text("Numbers", "bold"), pairs(_numbers(detail.metrics))]
    if detail.history:
        parts += ["", Text("History", "bold"), _history(detail.history)]
    deploy = f"otel-loggedmodel env {clean(version.model_id)}"
    return [
        *parts,
        "",
        Text.assemble(
            ("Deploy it", "bold"), f": {deploy} prints the lines for a shell, a Dockerfile, Kubernetes and systemd."
        ),
    ]


def _standing(version: Version) -> str:
    if version.deleted:
        return "deleted"
    if not version.registered:
        return "unregistered: known from its spans alone"
    return version.status.lower()


def _identity(version: Version) -> dict[str, str]:
    entries = {
        "id": version.model_id,
        "type": version.model_type,
        "experiment": version.experiment_id,
        "source run": version.source_run_id,
        "commit": version.tags.get("vcs.ref.head.revision"),
        "branch": version.tags.get("vcs.ref.head.name"),
        "repository": version.tags.get("vcs.repository.url.full"),
        "created": formatting.instant(version.creation_timestamp),
        "updated": formatting.instant(version.last_updated_timestamp),
        "first seen": formatting.instant(version.first_seen_ms),
        "last seen": formatting.instant(version.last_seen_ms),
        "services": ", ".join(version.services),
        "also counted": ", ".join(version.references),
    }
    return {title: text for title, text in entries.items() if text and text != formatting.ABSENT}


def _numbers(metrics: VersionMetrics) -> dict[str, str]:
    numbers = {metric.label: metric.write(value_of(metrics, metric.key)) for metric in metrics_of([metrics])}
    return {label: text for label, text in numbers.items() if text != formatting.ABSENT}


def _history(history: Sequence[HistoryEntry]) -> "RenderableType":
    """The events, oldest first. Activations stand once for each service, as every process reports its own."""
    from rich.text import Text

    from otel_loggedmodel.commands.tables import plain_table

    table = plain_table("when", "what", "by", "how")
    for column in table.columns[1:]:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    activations: dict[str, list[HistoryEntry]] = {}
    for entry in history:
        if entry.kind == "activated":
            activations.setdefault(entry.service, []).append(entry)
    for entry in history:
        how = _changes(entry)
        if entry.kind == "activated":
            same = activations.pop(entry.service, None)
            if same is None:
                continue
            how = _processes(same)
        cells = (formatting.instant(entry.time_ms), entry.kind, entry.service or formatting.ABSENT, how)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    return table


def _changes(entry: HistoryEntry) -> str:
    changes = [in_brief(texts) for texts in (entry.params, entry.tags) if texts]
    changes += [f"{key} removed" for key in entry.tags_deleted]
    if entry.kind == "created":
        # They are listed above.
        changes = []
    if entry.status and entry.kind == "updated":
        changes.insert(0, entry.status)
    return ", ".join(changes)


def _processes(activations: Sequence[HistoryEntry]) -> str:
    hosts = sorted({host for entry in activations if (host := entry.resource.get("host.name"))})
    last = max(entry.time_ms for entry in activations)
    times = (
        "once"
        if len(activations) == 1
        else f"{formatting.count(len(activations))} times, last {formatting.instant(last)}"
    )
    return f"{times}, on {', '.join(hosts)}" if hosts else times
