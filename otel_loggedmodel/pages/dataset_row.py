# SPDX-License-Identifier: Apache-2.0
"""One row of a data set: what was asked, what should come out, and what each version has answered so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.attributes import (
    EVALUATION_DATASET,
    EVALUATION_DATASET_NAME,
    EVALUATION_EXPECTED,
    EVALUATION_ROW,
)
from otel_loggedmodel.conventions import previews
from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import Trace, TraceSummary

MOST_ANSWERS: Final = 50


@dataclass(frozen=True)
class RowOf:
    """The row of a data set that a trace is of.

    Attributes:
        dataset: Digest of the data set, else its name.
        name: What the data set is called, else the beginning of its digest.
        row: Key of the row.
    """

    dataset: str
    name: str
    row: str


def row_of(trace: Trace) -> RowOf | None:
    """Which row of which data set a trace is of; None for any other trace."""
    for span in trace.spans:
        said = span.attributes
        dataset, name = said.get(EVALUATION_DATASET, ""), said.get(EVALUATION_DATASET_NAME, "")
        if said.get(EVALUATION_ROW) and (dataset or name):
            return RowOf(dataset or name, name or dataset[:8], said[EVALUATION_ROW])
    return None


def values(
    dataset: str, row: str, found: Sequence[TraceSummary], newest: Trace | None, titles: Mapping[str, Title]
) -> Mapping[str, Any]:
    """What the template shows.

    Args:
        dataset: Digest or name of the data set.
        row: Key of the row.
        found: The traces of the row, the newest first.
        newest: The newest of them.
        titles: What versions are called, by their ids.
    """
    known = row_of(newest) if newest is not None else None
    spans = newest.spans if newest is not None else ()
    expected = next((text for span in spans if (text := span.attributes.get(EVALUATION_EXPECTED))), "")
    asked = next((one.input for one in found if one.input), None)
    return {
        "dataset": dataset,
        "dataset_name": known.name if known is not None else dataset,
        "row": row,
        "asked": asked or f"Row {row}",
        "expected": previews.answered(expected),
        "found": found,
        "titles": titles,
        "scores": list(dict.fromkeys(name for one in found for name in one.scores)),
        "links": Links(),
    }
