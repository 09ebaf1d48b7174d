# SPDX-License-Identifier: Apache-2.0
"""`models`: which versions there are."""

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting, misuse
from otel_loggedmodel.presenting.naming import Title, short_id
from otel_loggedmodel.presenting.texts import in_brief
from otel_loggedmodel.store.reading import Selection, VersionFilter
from otel_loggedmodel.store.version_results import Version

_ALWAYS: Final = frozenset({"name", "id", "traces", "last seen"})
EXAMPLES: Final = """
otel-loggedmodel models --since 7d
otel-loggedmodel models --name support-agent --tag team=support --json
"""


def models(
    name: Annotated[str | None, typer.Option("--name", help="Of this name.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="With this tag. Repeatable.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="With this param. Repeatable.")
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, newest first.")] = 50,
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
    """List the versions, those that were used last first."""
    which = VersionFilter(
        name=name,
        tags=options.read_pairs(tag, "--tag"),
        params=options.read_pairs(param, "--param"),
        deleted=deleted,
        limit=limit,
    )
    selection = options.read_selection(
        since, until, service, attribute, dataset=dataset, production=production, prompt=prompt, agent=agent
    )
    with opening.reader(store, token_file, "Reading versions", prices) as reader:
        versions = reader.versions(which, selection)
    if json:
        printing.show_json(misuse.with_notes(versions))
    elif versions:
        _show_table(versions)
        if len(versions) == limit:
            printing.complain(f"There may be more: these are the newest {limit} (--limit).")
        told = misuse.hint([version.traces for version in versions])
        if told is not None:
            printing.complain(told)
    elif which != VersionFilter(limit=limit) or selection != Selection():
        printing.complain("No version matches; `otel-loggedmodel models` without options lists them.")
    else:
        printing.complain("There is no version yet. It appears with its first span; see `otel-loggedmodel doctor`.")


def _show_table(versions: Sequence[Version]) -> None:
    """A table: on a terminal with short ids and how long ago, else with whole ids and times for whatever reads it."""
    from otel_loggedmodel.commands.tables import Column, fitted

    is_for_people = sys.stdout.isatty()
    now_ms = time.time() * 1000
    titles = [Title.of(version) for version in versions]
    columns = [
        Column("name", [version.name or formatting.ABSENT for version in versions]),
        Column("release", [title.label for title in titles], importance=9),
        Column("id", [short_id(one.model_id) if is_for_people else one.model_id for one in versions], whole=True),
        Column("stage", [title.stage for title in titles], importance=6),
        Column("traces", [formatting.count(version.traces) for version in versions], importance=9, number=True),
        Column("errors", [formatting.count(version.errors) for version in versions], importance=9, number=True),
        Column("p95", [formatting.milliseconds(version.p95_ms) for version in versions], importance=9, number=True),
        Column(
            "last seen",
            [
                formatting.ago(version.last_seen_ms, now_ms)
                if is_for_people
                else formatting.instant(version.last_seen_ms)
                for version in versions
            ],
            importance=9,
            whole=True,
        ),
        Column("state", [_state(version) for version in versions], importance=5),
        Column("services", [", ".join(version.services) for version in versions], importance=3),
        Column(
            "params",
            [in_brief(version.params) for version in versions],
            importance=2,
        ),
    ]
    # A column in which nobody says anything takes room from the others.
    printing.show(*fitted([column for column in columns if column.title in _ALWAYS or any(map(str, column.cells))]))


def _state(version: Version) -> str:
    if version.deleted:
        return "deleted"
    return version.status.lower() if version.registered else "unregistered"
