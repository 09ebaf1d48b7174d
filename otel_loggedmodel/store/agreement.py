# SPDX-License-Identifier: Apache-2.0
"""How well judges agree with people: Cohen's kappa, which is 1 for full agreement and 0 for what chance would give.

Of each trace, what a person said last and what a judge said last under one name are a pair; passing or failing, or a
label, is the category. With the standard error of Fleiss, Cohen and Everitt, 1969, "Large sample standard errors of
kappa and weighted kappa" (Cohen, 1960, "A coefficient of agreement for nominal scales").
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.attributes import EVALUATION_LABEL
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.score_groups import Scores
from otel_loggedmodel.store.scores import results
from otel_loggedmodel.store.statistics import Interval, Z

# With fewer, kappa says next to nothing.
MIN_PAIRS: Final = 10
# Numbers that take more values are no categories.
_MOST_CATEGORIES: Final = 10
_MOST_ROWS: Final = 10_000
_LABEL: Final = f"attributes['{EVALUATION_LABEL}']"

Table = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Agreement:
    """How well two agree.

    Attributes:
        pairs: On how many both said something.
        same: On how many of these they said the same.
        kappa: Cohen's; None if either always said the same.
        interval: Its 95 % confidence interval.
    """

    pairs: int
    same: int
    kappa: float | None = None
    interval: Interval | None = None


def agreement(table: Table) -> Agreement:
    """How well two agree.

    Args:
        table: How often the first said one category and the second another.
    """
    total = sum(table.values())
    same = sum(count for (one, other), count in table.items() if one == other)
    first: dict[str, float] = defaultdict(float)
    second: dict[str, float] = defaultdict(float)
    for (one, other), count in table.items():
        first[one] += count / total
        second[other] += count / total
    observed = same / total
    expected = sum(first[category] * second.get(category, 0.0) for category in first)
    if min(len(first), len(second)) < 2 or expected >= 1:
        return Agreement(total, same)
    kappa = (observed - expected) / (1 - expected)
    agreeing = sum(
        count / total * (1 - (first[one] + second[one]) * (1 - kappa)) ** 2
        for (one, other), count in table.items()
        if one == other
    )
    differing = (1 - kappa) ** 2 * sum(
        count / total * (second.get(one, 0.0) + first.get(other, 0.0)) ** 2
        for (one, other), count in table.items()
        if one != other
    )
    variance = (agreeing + differing - (kappa - expected * (1 - kappa)) ** 2) / (total * (1 - expected) ** 2)
    half = Z * math.sqrt(max(variance, 0.0))
    return Agreement(total, same, kappa, (max(kappa - half, -1.0), min(kappa + half, 1.0)))


def notes(database: Database, scope: Scope, scores: Mapping[str, Scores]) -> Iterator[str]:
    """How well judges agree with people, for each score that both give.

    Args:
        database: Where.
        scope: Of which versions.
        scores: What there is, by version and name.
    """
    sources: dict[str, set[str]] = defaultdict(set)
    for by_name in scores.values():
        for name, groups in by_name.items():
            sources[name].update(group.source for group in groups)
    both = sorted(name for name, found in sources.items() if {"human", "llm"} <= found)
    if not both:
        return
    found = results(scope, with_missing=True)
    category = f"if(value IS NULL, lower({_LABEL}), toString(value))"
    rows = database.query(
        f"""
        SELECT name, person, judge, count() AS pairs
        FROM (
            SELECT name, argMaxIf({category}, at, source = 'human') AS person,
                argMaxIf({category}, at, source = 'llm') AS judge
            FROM ({found.sql})
            WHERE source IN ('human', 'llm') AND name IN {{both:Array(String)}}
                AND (isFinite(value) OR value IS NULL AND {_LABEL} != '')
            GROUP BY name, TraceId HAVING countIf(source = 'human') > 0 AND countIf(source = 'llm') > 0
        )
        GROUP BY name, person, judge LIMIT {_MOST_ROWS}""",
        {**found.parameters, "both": both},
    )
    tables: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in rows:
        tables[row["name"]][row["person"], row["judge"]] = int(row["pairs"])
    for name, table in sorted(tables.items()):
        if sum(table.values()) >= MIN_PAIRS and len({one for pair in table for one in pair}) <= _MOST_CATEGORIES:
            yield _told(name, agreement(table))


def _told(name: str, found: Agreement) -> str:
    if found.kappa is None or found.interval is None:
        rest = "one of them always says the same, so that there is no kappa"
    else:
        low, high = found.interval
        rest = f"Cohen's kappa {found.kappa:.2f}, {low:.2f} to {high:.2f}"
    return f"Score {name}: judges and people say the same of {found.same} of {found.pairs} traces ({rest})."
