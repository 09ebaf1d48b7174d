# SPDX-License-Identifier: Apache-2.0
"""Writes a comparison as files that people look at: a page that needs no other, and a picture of the decision."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from otel_loggedmodel.pages.addresses import Chosen
from otel_loggedmodel.store.reading import EVERYTHING, Reader, RowFilter, Selection
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.row_results import RowChange

if TYPE_CHECKING:
    from otel_loggedmodel.pages.report import Held


def write_html(
    path: Path,
    reader: Reader,
    comparison: Comparison,
    selection: Selection,
    changes: Sequence[RowChange] | None = None,
    limit: int = RowFilter.limit,
    held: "Held | None" = None,
    *,
    since: str | None = None,
    until: str | None = None,
) -> None:
    """Write it with charts and, of two versions, the rows that changed most.

    Args:
        path: The file.
        reader: Where the comparison was read.
        comparison: The versions.
        selection: Which traces count.
        changes: The rows, where they were read already.
        limit: How many rows.
        held: What a gate made of it.
        since: When traces began at the earliest, as it was said.
        until: When at the latest.
    """
    from otel_loggedmodel.pages.report import report
    from otel_loggedmodel.pages.rows import have_rows

    versions = [version.model_id for version in comparison.versions]
    if changes is None:
        has_any = len(versions) == 2 and have_rows(comparison)
        changes = reader.rows(versions, RowFilter(limit=limit), selection) if has_any else []
    activities, behaviour = reader.activities(versions, selection), reader.behaviour(versions, selection)
    made_ms, chosen = time.time() * 1000, _chosen(selection, since, until)
    _write(path, "--html", report(comparison, activities, behaviour, changes, chosen, limit, made_ms, held))


def _chosen(selection: Selection, since: str | None, until: str | None) -> Chosen:
    return Chosen(
        since=since,
        until=until,
        service=selection.service,
        attributes=tuple(f"{key}={value}" for key, value in selection.attributes.items()),
        dataset=selection.dataset,
        production=selection.production,
        runs=None if selection.runs == EVERYTHING.runs else selection.runs,
        failed_rows=None if selection.failed_rows == EVERYTHING.failed_rows else selection.failed_rows,
        pass_at=None if selection.pass_at is None else str(selection.pass_at),
    )


def write_svg(path: Path, comparison: Comparison) -> None:
    """Write the decision as a picture."""
    from otel_loggedmodel.pages import picture

    _write(path, "--svg", picture.decision(comparison).svg)


def _write(path: Path, option: str, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint=option) from None
