# SPDX-License-Identifier: Apache-2.0
"""The results of one scorer for one version on one data set, as groups of values."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.results import Score, ScoreGroup


@dataclass(frozen=True, kw_only=True)
class Group:
    """The values that one scorer gave to a version on one data set.

    Attributes:
        source: `human`, `code`, `llm` or empty.
        scorer: Digest, or empty.
        dataset: Digest; empty for production.
        dataset_name: What it is called, or empty.
        count: How many values there are.
        mean: Their mean.
        variance: Their sample variance; NaN for a single value.
        at: When the last was given, in ns.
        is_portable: Whether keys of rows mean the same rows in another data set.
        is_binary: Whether every value is 0 or 1.
        rows: The values of rows, by the hash of their keys.
        groups: The group of each row, by the same hashes: rows that belong together have the same; a row by itself has
            its own hash. Empty if each row is by itself.
        failed: Results without a value, as the scorer failed.
        run: Id of the run that these are of, or empty.
        run_name: What it is called, or empty.
        others: How many other runs there are, which do not count.
        moments: Of production, where traces belong together or count differently: sums over units.
    """

    source: str = ""
    scorer: str = ""
    dataset: str = ""
    dataset_name: str = ""
    count: int = 0
    mean: float = 0.0
    variance: float = math.nan
    at: int = 0
    is_portable: bool = False
    is_binary: bool = False
    rows: Mapping[int, float]
    groups: Mapping[int, int] = field(default_factory=dict)
    failed: int = 0
    run: str = ""
    run_name: str = ""
    others: int = 0
    moments: Moments | None = None

    @property
    def units(self) -> int:
        """How many independent units there are."""
        return self.count if self.moments is None else self.moments.units

    @property
    def kind(self) -> tuple[str, str]:
        """Who scored; only values of one kind are compared."""
        return self.source, self.scorer


Scores = Mapping[str, Sequence[Group]]


def read(found: Sequence[Mapping[str, Any]], of_units: Mapping[tuple[str, str, str, str], Moments]) -> Scores:
    """The scores of a version by name.

    Args:
        found: Rows of `scores.groups`.
        of_units: What `production_scores.moments` says, where traces belong together or count differently.
    """
    by_name: dict[str, list[Group]] = defaultdict(list)
    for row in found:
        own = None if row["dataset"] else of_units.get((row["version"], row["name"], row["source"], row["scorer"]))
        by_name[row["name"]].append(
            Group(
                source=row["source"],
                scorer=row["scorer"],
                dataset=row["dataset"],
                dataset_name=row["dataset_name"],
                count=row["count"],
                mean=row["mean"] if own is None or own.ratio is None else own.ratio,
                variance=row["variance"],
                at=row["at"],
                is_portable=bool(row["is_portable"]),
                is_binary=bool(row["is_binary"]),
                rows=dict(zip(row["rows"], row["row_values"], strict=True)),
                groups=_groups_of(row["rows"], row["row_groups"]),
                failed=row["failed"],
                run=row["run"],
                run_name=row["run_name"],
                others=row["others"],
                moments=own,
            )
        )
    return by_name


def _groups_of(rows: Sequence[int], groups: Sequence[int]) -> dict[int, int]:
    return {} if not groups or rows == groups else dict(zip(rows, groups, strict=True))


def score_of(groups: Sequence[Group]) -> Score:
    """All results of one evaluation of one version."""
    count = sum(group.count for group in groups)
    return Score(
        mean=math.fsum(group.mean * group.count for group in groups if group.count) / count if count else None,
        count=count,
        failed=sum(group.failed for group in groups),
        groups=tuple(
            ScoreGroup(
                source=group.source or None,
                scorer=group.scorer or None,
                dataset=group.dataset or None,
                dataset_name=group.dataset_name or None,
                mean=group.mean if group.count else None,
                count=group.count,
                failed=group.failed,
                run=group.run or None,
                run_name=group.run_name or None,
                other_runs=group.others,
            )
            for group in groups
        ),
    )
