# SPDX-License-Identifier: Apache-2.0
"""How often a gate that is asked again and again decides wrongly, for means, rates and quantiles.

Traffic arrives while a rule is held against it, from 20 traces of each version on, until it is decided. Where nothing
changed, or a version is exactly at the limit of a rule, a decision that goes beyond what is true is a false one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks import replica, situations, tallies
from benchmarks.sample import Sample
from otel_loggedmodel.commands import gating
from otel_loggedmodel.commands.gating import Outcome
from otel_loggedmodel.commands.rules import NotWorse, Rule, parse_demand, parse_rule

# From 20 traces on, each look after some 6 % more: early looks are those that a normal distribution fits worst.
COUNTS = sorted({round(20 * 1.06**step) for step in range(84)})


@dataclass(frozen=True)
class Watched:
    """What is asked again and again.

    Attributes:
        rule: What is held against the traffic.
        slower: How many times as long the candidate takes.
        errors: Rates of the two versions.
        heavy: Whether latency has a heavy tail.
        false: Which outcomes are false ones.
    """

    rule: str
    slower: float = 1.0
    errors: tuple[float, float] = (0.03, 0.03)
    heavy: bool = False
    false: tuple[Outcome, ...] = (Outcome.FAILED,)

    @property
    def name(self) -> str:
        """What it is like."""
        changes = [
            *([f"{100 * (self.slower - 1):.0f} % slower"] if self.slower != 1 else []),
            *(
                [f"errors {100 * self.errors[0]:.3g} to {100 * self.errors[1]:.3g} %"]
                if len(set(self.errors)) > 1
                else []
            ),
        ]
        tail = ", heavy tail" if self.heavy else ""
        return f"{self.rule}, {' and '.join(changes) or 'nothing changed'}{tail}"


_BOTH = (Outcome.FAILED, Outcome.PASSED)
ALL = (
    *(
        Watched(f"worse({metric})")
        for metric in ("latency_ms.mean", "latency_ms.p50", "latency_ms.p95", "latency_ms.p99", "error_rate")
    ),
    Watched("worse(latency_ms.mean)", heavy=True),
    Watched("worse"),
    Watched("latency_ms.mean > +20%", slower=1.2, false=_BOTH),
    Watched("latency_ms.p50 > +20%", slower=1.2, false=_BOTH),
    Watched("latency_ms.p95 > +20%", slower=1.2, false=_BOTH),
    Watched("error_rate > +3pp", errors=(0.03, 0.06), false=_BOTH),
    Watched("error_rate > 3%", false=_BOTH),
    Watched("not_worse(latency_ms.p50, 20%)", slower=1.2, false=_BOTH),
    Watched("not_worse(error_rate, 3pp)", errors=(0.03, 0.06), false=_BOTH),
)


def decided(runs: int) -> Iterator[tuple[Watched, Mapping[Outcome, int]]]:
    """How often each ends with which outcome, of so many."""
    # What is of the same traffic is asked of the same.
    kinds: dict[tuple[object, ...], list[Watched]] = {}
    for one in ALL:
        kinds.setdefault((one.slower, one.errors, one.heavy), []).append(one)
    found: dict[Watched, dict[Outcome, int]] = {one: {} for one in ALL}
    for watched in kinds.values():
        rng = np.random.default_rng(tallies.SEED)
        for _ in range(runs):
            for one, outcome in _watched(rng, watched).items():
                found[one][outcome] = found[one].get(outcome, 0) + 1
    yield from found.items()


def _watched(rng: situations.Rng, rules: list[Watched]) -> dict[Watched, Outcome]:
    """What becomes of each rule on one draw of traffic: decided at the first look that can, or not at all."""
    kind = rules[0]
    base, candidate = (
        situations.traces(rng, COUNTS[-1], slower=slower, errors=errors, heavy=kind.heavy)
        for slower, errors in zip((1.0, kind.slower), kind.errors, strict=True)
    )
    ended: dict[Watched, Outcome] = {}
    for count in COUNTS:
        if len(ended) == len(rules):
            break
        comparison = replica.compared(_first(base, count), _first(candidate, count))
        for one in rules:
            if one not in ended:
                outcome = gating.judged(comparison, *_parsed(one), unknown=gating.OnUnknown.WAIT, repeated=True).outcome
                if outcome in _BOTH:
                    ended[one] = outcome
    return {one: ended.get(one, Outcome.NO_DATA) for one in rules}


def _parsed(one: Watched) -> tuple[list[Rule], list[NotWorse]]:
    if one.rule.startswith("not_worse"):
        return [], [parse_demand(one.rule)]
    return [parse_rule(one.rule)], []


def _first(sample: Sample, count: int) -> Sample:
    return Sample(sample.latency[:count], sample.failed[:count], sample.tokens[:count])
