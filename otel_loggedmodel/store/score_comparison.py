# SPDX-License-Identifier: Apache-2.0
"""What of the evaluations of two versions may be compared, and what comes of it.

Two versions differ in a score only where the same scorer gave it: results of scorers with different digests are never
compared. What one scorer gave to both versions is compared in the first of these ways for which there is enough data.
If the best way is open to several scorers, the scorer that was used last counts:

1. pairs: rows of a data set that both versions have (`paired`);
2. pairs of rows that ask the same, of data sets of different digest, as where a row was added;
3. values without pairs, of one data set or of production: pass or fail as rates, others as means.

Notes say what is not compared.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final, NamedTuple

from otel_loggedmodel.store import paired, statistics
from otel_loggedmodel.store.estimates import Estimate, estimate, means_differ, rates_contrast
from otel_loggedmodel.store.results import Difference, Reason, ScoreComparison
from otel_loggedmodel.store.score_groups import Group, score_of

_DIGEST_CHARACTERS: Final = 8


class Pair(NamedTuple):
    """A row that both versions have.

    Attributes:
        datasets: The data set of the first version's value and that of the other's.
        row: Hash of its key.
        base: The first version's value.
        candidate: The other's.
        group: The group of rows that it belongs to; its own hash for a row by itself.
    """

    datasets: tuple[str, str]
    row: int
    base: float
    candidate: float
    group: int = 0


class Pairs:
    """Pairs as lists of their parts, as there may be a hundred thousand; each part is named as in `Pair`."""

    __slots__ = ("base", "candidate", "datasets", "group", "row")

    def __init__(self) -> None:
        self.datasets: list[tuple[str, str]] = []
        self.row: list[int] = []
        self.base: list[float] = []
        self.candidate: list[float] = []
        self.group: list[int] = []

    def add(self, datasets: tuple[str, str], rows: Sequence[int], before: Group, after: Mapping[int, float]) -> None:
        """Add rows of one data set that both have."""
        self.datasets += [datasets] * len(rows)
        self.row += rows
        self.base += map(before.rows.__getitem__, rows)
        self.candidate += map(after.__getitem__, rows)
        self.group += map(before.groups.get, rows, rows) if before.groups else rows

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[Pair]:
        return map(Pair, self.datasets, self.row, self.base, self.candidate, self.group)


_NONE: Final = Pairs()


@dataclass(frozen=True)
class Match:
    """What can be compared of an evaluation of two versions.

    Attributes:
        base: All values of the first version.
        candidate: All values of the other.
        kind: Who gave what is compared; None where nothing is.
        pairs: The pairs of rows that are compared.
        is_across: Whether they are of data sets that differ.
        unpaired: The values of each version that are compared without pairs; None where pairs are.
    """

    base: Sequence[Group]
    candidate: Sequence[Group]
    kind: tuple[str, str] | None = None
    pairs: Pairs = _NONE
    is_across: bool = False
    unpaired: tuple[Group, Group] | None = None

    @functools.cached_property
    def datasets(self) -> tuple[str, ...]:
        """The data sets of what is compared."""
        if self.unpaired is not None:
            return tuple(filter(None, [self.unpaired[0].dataset]))
        return tuple(sorted({one for of_pair in set(self.pairs.datasets) for one in of_pair}))

    @property
    def compared(self) -> tuple[int, int]:
        """How many values of each are compared."""
        if self.unpaired is not None:
            return self.unpaired[0].count, self.unpaired[1].count
        return len(self.pairs), len(self.pairs)

    @functools.cached_property
    def alone(self) -> int:
        """How many rows of the compared data sets only one of the two has."""
        if not self.pairs:
            return 0
        # By data set; if rows of several are compared, their keys are enough.
        keys: list[dict[str, set[int]]] = [{}, {}]
        for found, groups in zip(keys, (self.base, self.candidate), strict=True):
            for group in groups:
                if group.kind == self.kind and group.dataset in self.datasets:
                    found.setdefault("" if self.is_across else group.dataset, set()).update(group.rows)
        base, candidate = keys
        return sum(len(base.get(one, set()) ^ candidate.get(one, set())) for one in base.keys() | candidate.keys())

    def difference(self) -> Difference:
        """What it comes to; without a p-value where there is too little to tell."""
        if self.pairs:
            return self._paired()
        if self.unpaired is not None:
            return self._unpaired(*self.unpaired)
        means = [score_of(groups).mean if groups else None for groups in (self.base, self.candidate)]
        found = statistics.difference(*means)
        if None in means:
            return replace(found, reason=Reason.NOT_KNOWN)
        return replace(found, evaluation=ScoreComparison(), reason=Reason.NOT_COMPARABLE)

    def _paired(self) -> Difference:
        before, after, groups = self.pairs.base, self.pairs.candidate, self.pairs.group
        alike = paired.alike(before, after)
        different = len(set(groups))
        is_grouped = different < len(groups) and any(groups)
        units = different if is_grouped else len(groups)
        if units < paired.MIN_PAIRS:
            found = statistics.difference(fmean(before), fmean(after))
            return replace(found, evaluation=self._counted(None, alike))
        test = paired.tested(before, after, groups if is_grouped else None, alike)
        found = statistics.difference(
            test.base, test.candidate, interval=test.interval, effect_size=test.effect_size, p_value=test.p_value
        )
        return replace(
            found,
            evaluation=self._counted(test.test, alike),
            base_units=units,
            candidate_units=units,
        )

    def _counted(self, test: str | None, alike: paired.Alike) -> ScoreComparison:
        """What was compared, also of pairs that are too few to be tested."""
        higher, lower, equal = paired.changes(alike)
        changes, most = paired.distribution(alike)
        found = replace(self._evaluation(test), pairs=len(self.pairs), higher=higher, lower=lower, equal=equal)
        return replace(found, changes=changes, change_range=most)

    def _unpaired(self, base: Group, candidate: Group) -> Difference:
        if min(base.units, candidate.units) < statistics.MIN_SAMPLES:
            found = statistics.difference(base.mean, candidate.mean)
            return replace(found, evaluation=self._evaluation(None))
        is_rate = base.is_binary and candidate.is_binary
        contrast = (rates_contrast if is_rate else means_differ)(*(_estimate(one) for one in (base, candidate)))
        found = statistics.difference(base.mean, candidate.mean, interval=contrast.interval, p_value=contrast.p_value)
        return replace(
            found,
            evaluation=self._evaluation("rates" if is_rate else "welch"),
            base_interval=contrast.base_interval,
            candidate_interval=contrast.candidate_interval,
            base_units=base.units,
            candidate_units=candidate.units,
        )

    def _evaluation(self, test: str | None) -> ScoreComparison:
        source, scorer = self.kind or ("", "")
        base_count, candidate_count = self.compared
        return ScoreComparison(
            test=test,
            base_count=base_count,
            candidate_count=candidate_count,
            source=source or None,
            scorer=scorer or None,
            datasets=self.datasets,
        )

    def notes(self, name: str, candidate: str) -> Iterator[str]:
        """What a reader has to know.

        Args:
            name: The evaluation's name.
            candidate: What the other version is called.
        """
        if not self.base or not self.candidate:
            return
        about = f"Score {name} of {candidate}:"
        if self.kind is None:
            if {group.kind for group in self.base}.isdisjoint({group.kind for group in self.candidate}):
                scorers = " and ".join(_names(groups, "scorer", "none") for groups in (self.base, self.candidate))
                yield f"{about} not compared, as the two versions have no scorer in common ({scorers})."
            else:
                datasets = " and ".join(
                    _names(groups, "dataset", "production") for groups in (self.base, self.candidate)
                )
                yield f"{about} not compared, as it is of other rows ({datasets})."
            return
        if self.is_across:
            yield (
                f"{about} the data sets differ ({_shortly(self.datasets)}); compared are rows with the same inputs,"
                " of which the expectations may differ."
            )
        elif len(self.datasets) > 1:
            yield f"{about} rows of {len(self.datasets)} data sets are compared together."
        if self.alone:
            yield (
                f"{about} compared are the {len(self.pairs)} rows that both versions have a value of;"
                f" {self.alone} have one in one version only."
            )
        others = sum(group.count for group in (*self.base, *self.candidate)) - sum(self.compared) - self.alone
        if others and not self.is_across:
            yield f"{about} {others} values of other scorers, other data sets or production are not compared."


def match(base: Sequence[Group], candidate: Sequence[Group]) -> Match:
    """What can be compared of an evaluation of two versions.

    Args:
        base: The first version's values; the newest first.
        candidate: The other's.
    """
    base, candidate = ([group for group in groups if group.count] for groups in (base, candidate))
    best: tuple[int, int, Match] | None = None
    kinds = {group.kind for group in base} & {group.kind for group in candidate}
    for kind in sorted(kinds):
        before = [group for group in base if group.kind == kind]
        after = [group for group in candidate if group.kind == kind]
        at = max(group.at for group in after)
        for rank, found in _matches(before, after):
            if best is None or (rank, at) > best[:2]:
                best = (rank, at, replace(found, base=base, candidate=candidate, kind=kind))
    return best[2] if best else Match(base, candidate)


def _matches(base: Sequence[Group], candidate: Sequence[Group]) -> Iterator[tuple[int, Match]]:
    """What can be compared of the values of one scorer, each with a number: the higher, the better."""
    pairs = _pairs(base, candidate)
    if len(pairs) >= paired.MIN_PAIRS:
        # Nothing else is better.
        yield 5, Match(base, candidate, pairs=pairs)
        return
    if pairs:
        yield 2, Match(base, candidate, pairs=pairs)
    across = _pairs_across(base, candidate)
    if len(across) >= paired.MIN_PAIRS:
        yield 4, Match(base, candidate, pairs=across, is_across=True)
    after = {group.dataset: group for group in candidate}
    for before in base:
        other = after.get(before.dataset)
        if other is not None:
            is_enough = min(before.units, other.units) >= statistics.MIN_SAMPLES
            yield (3 if is_enough else 1), Match(base, candidate, unpaired=(before, other))


def _pairs(base: Sequence[Group], candidate: Sequence[Group]) -> Pairs:
    after = {group.dataset: group.rows for group in candidate}
    found = Pairs()
    for group in sorted(base, key=lambda group: group.dataset):
        of_dataset = after.get(group.dataset, {})
        rows = sorted(group.rows.keys() & of_dataset.keys())
        found.add((group.dataset, group.dataset), rows, group, of_dataset)
    return found


def _pairs_across(base: Sequence[Group], candidate: Sequence[Group]) -> Pairs:
    """Pairs by the key alone, each of the newest data sets that have it."""
    before, after = _by_row(base), _by_row(candidate)
    found = Pairs()
    for row in sorted(before.keys() & after.keys()):
        found.add((before[row].dataset, after[row].dataset), [row], before[row], after[row].rows)
    return found


def _by_row(groups: Sequence[Group]) -> dict[int, Group]:
    found: dict[int, Group] = {}
    for group in groups:  # the newest first
        if group.is_portable:
            found = dict.fromkeys(group.rows, group) | found
    return found


def _estimate(group: Group) -> Estimate:
    if group.moments is not None and (found := estimate(group.moments)) is not None:
        return found
    if len(set(group.groups.values())) < len(group.groups) == group.count:
        found = estimate(paired.of_groups(list(group.rows.values()), [group.groups[row] for row in group.rows]))
        assert found is not None
        return found
    return Estimate(
        value=group.mean,
        variance=group.variance / group.count,
        units=group.count,
        effective=group.count,
        counts=(round(group.mean * group.count), group.count) if group.is_binary else None,
    )


def _names(groups: Sequence[Group], kind: str, otherwise: str) -> str:
    names = {
        group.dataset_name or group.dataset if kind == "dataset" else group.scorer or group.source for group in groups
    }
    return _shortly(sorted(name or otherwise for name in names))


def _shortly(names: Sequence[str]) -> str:
    shown = [name[:_DIGEST_CHARACTERS] if len(name) == 16 else name for name in names[:4]]
    return ", ".join(shown) + (", ..." if len(names) > 4 else "")
