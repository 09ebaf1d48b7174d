# SPDX-License-Identifier: Apache-2.0
"""What readers get of results that are labels and no numbers: categories with shares.

What `results` says of its values holds here too.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label of an evaluation.

    Attributes:
        label: What it says; empty for all labels together that are too many to be shown.
        counts: How often each version has it, in order.
    """

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of an evaluation.

    Attributes:
        name: Of the evaluation.
        labels: Those that are there, the most frequent first.
        totals: How many results with a label each version has, in order.
        p_values: For each version but the first, the probability of shares that differ as much from those of the first
            if they are the same, corrected by Holm's method for all that are looked at; None of too few results.
    """

    name: str
    labels: tuple[Label, ...] = ()
    totals: tuple[int, ...] = ()
    p_values: tuple[float | None, ...] = ()
