# SPDX-License-Identifier: Apache-2.0
"""Labels of evaluations in words: which part of the results has each, and whether versions differ in that."""

from typing import Final

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.store.label_results import Label, Labels
from otel_loggedmodel.store.statistics import SIGNIFICANCE

OTHERS: Final = "others"


def share(found: Labels, label: Label, place: int) -> str:
    """Which part of a version's results has a label, and how many those are."""
    total = found.totals[place]
    if not total:
        return formatting.ABSENT
    return f"{formatting.rate(label.counts[place] / total)} ({formatting.count(label.counts[place])})"


def told(found: Labels, place: int) -> str:
    """What is known of the shares of a version against those of the first: `differ`, `may be the same`, `too few`."""
    p_value = found.p_values[place - 1]
    if p_value is None:
        return "too few"
    return f"{'differ' if p_value < SIGNIFICANCE else 'may be the same'} (p {formatting.p_value(p_value)})"
