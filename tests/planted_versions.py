# SPDX-License-Identifier: Apache-2.0
"""The versions of the synthetic data set: what each is like, and how that differs from the first."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

from otel_loggedmodel.store.results import Verdict
from otel_loggedmodel.versions import identity

AGENT: Final = "support-agent"
ASSISTANT: Final = "assistant"
HOSTILE: Final = "<script>alert('1')</script>\"'; DROP TABLE otel_traces; -- \\N {x:String} \n\t\x1b[31m 🚀"

LATENCY_METRICS: Final = tuple(f"latency_ms.{name}" for name in ("p50", "p90", "p95", "p99", "mean"))
ALL_METRICS: Final = (
    "error_rate",
    *LATENCY_METRICS,
    "tokens.input_per_trace",
    "tokens.output_per_trace",
    "cost_usd_per_trace",
    "scores.helpfulness",
    "scores.grounded",
)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a version does.

    Attributes:
        slowdown: Factor on every latency.
        tail: The share of requests, of the slowest, that `tail_slowdown` is for.
        tail_slowdown: Factor on their latency.
        error_rate: Share of requests that fail.
        verbosity: Factor on tokens, and so on the cost.
        helpfulness: Mean of that score, which is about normally distributed.
        grounded: Mean of that score, which is 0 or 1.
        has_cost: Whether its spans say what they cost.
    """

    slowdown: float = 1.0
    tail: float = 0.0
    tail_slowdown: float = 1.0
    error_rate: float = 0.05
    verbosity: float = 1.0
    helpfulness: float = 0.7
    grounded: float = 0.8
    has_cost: bool = True


@dataclass(frozen=True, kw_only=True)
class PlantedVersion:
    """A version of the data set.

    Attributes:
        role: What it is there for.
        model_id: The id that its numbers are asked for with.
        name: Its name, or None where nothing says it.
        share: Its part of all traces; a whole number where it is above 1.
        registered: Whether there is a record of its creation.
        params: What it is made of.
        tags: What is said of it.
        behaviour: How it does.
        changed: The metrics that truly differ from the first version's, with what that amounts to. Of the others none
            differs, and none may be called `better` or `worse`.
        is_comparable: Whether it was made for comparison with the first version at all.
    """

    role: str
    model_id: str
    name: str | None = None
    share: float = 0.0
    registered: bool = True
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    behaviour: Behaviour = Behaviour()
    changed: Mapping[str, Verdict] = field(default_factory=dict)
    is_comparable: bool = True


def planted_versions(rng: random.Random) -> Sequence[PlantedVersion]:
    """The versions, the first one first; in this order they were created."""
    worse, better = Verdict.WORSE, Verdict.BETTER
    of_tokens = ("tokens.input_per_trace", "tokens.output_per_trace", "cost_usd_per_trace")
    return [
        _version("base", AGENT, 0.15),
        _version("twin", AGENT, 0.15),
        _version("slower", AGENT, 0.13, Behaviour(slowdown=1.6), dict.fromkeys(LATENCY_METRICS, worse)),
        _version(
            "tail",
            AGENT,
            0.15,
            Behaviour(tail=0.08, tail_slowdown=3.0),
            dict.fromkeys(("latency_ms.p95", "latency_ms.p99", "latency_ms.mean"), worse),
        ),
        _version("failing", AGENT, 0.1, Behaviour(error_rate=0.15), {"error_rate": worse}),
        _version("sturdy", AGENT, 0.1, Behaviour(error_rate=0.005), {"error_rate": better}),
        _version("verbose", AGENT, 0.08, Behaviour(verbosity=1.5), dict.fromkeys(of_tokens, worse)),
        _version("helpful", AGENT, 0.05, Behaviour(helpfulness=0.85), {"scores.helpfulness": better}),
        _version(
            "inventing",
            AGENT,
            0.05,
            Behaviour(helpfulness=0.55, grounded=0.4),
            {"scores.helpfulness": worse, "scores.grounded": worse},
        ),
        _version("few", AGENT, 10, Behaviour(slowdown=1.1, error_rate=0.1)),
        _version("referred_first", ASSISTANT, 40, is_comparable=False),
        _version("referred_second", ASSISTANT, 40, is_comparable=False),
        _version("hostile", HOSTILE, 12, is_comparable=False),
        PlantedVersion(
            role="name_only",
            model_id=identity.reference_to("0", "translator"),
            name="translator",
            share=12,
            is_comparable=False,
        ),
        PlantedVersion(
            role="unregistered",
            model_id=f"m-{rng.getrandbits(128) | 1:032x}",
            name="lost-agent",
            share=30,
            registered=False,
            is_comparable=False,
        ),
        PlantedVersion(
            role="plain",
            model_id="my-agent-v1.0",
            share=60,
            registered=False,
            behaviour=Behaviour(has_cost=False),
            is_comparable=False,
        ),
        PlantedVersion(role="hostile_id", model_id=f"x{HOSTILE}", share=5, registered=False, is_comparable=False),
    ]


def _version(
    role: str,
    name: str,
    share: float,
    behaviour: Behaviour = Behaviour(),
    changed: Mapping[str, Verdict] | None = None,
    *,
    is_comparable: bool = True,
) -> PlantedVersion:
    params = {"prompt": f"prompt of {role}", "temperature": "0.7"}
    tags = {"role": role, "team": "support"}
    if name == HOSTILE:
        params[HOSTILE] = HOSTILE
    return PlantedVersion(
        role=role,
        model_id=identity.model_id_of("0", name, model_type="agent", params=params, tags=tags),
        name=name,
        share=share,
        params=params,
        tags=tags,
        behaviour=behaviour,
        changed=changed or {},
        is_comparable=is_comparable,
    )


@dataclass(frozen=True)
class Draw:
    """What happens in one request.

    Attributes:
        duration_ns: Of the entry span.
        error: Whether it fails.
        input: Tokens in, an even number.
        output: Tokens out, an even number.
        scores: Of its evaluations, by name; empty where it is not evaluated.
    """

    duration_ns: int
    error: bool
    input: int
    output: int
    scores: Mapping[str, float]


_NORMAL: Final = NormalDist()
_EVALUATED: Final = 0.4


def draws(behaviour: Behaviour, count: int, rng: random.Random) -> Iterator[Draw]:
    """So many requests of a version.

    Values are drawn by strata: one from each of `count` equally probable parts of their distribution, in random order.
    So two samples of one distribution are more alike than by chance. If no difference is planted, the samples show none
    either.
    """
    latency = _strata(count, rng)
    takes, gives = _strata(count, rng), _strata(count, rng)
    failing = _chosen(count, round(count * behaviour.error_rate), rng)
    evaluated = sorted(_chosen(count, math.ceil(count * _EVALUATED), rng))
    helpful = dict(zip(evaluated, _strata(len(evaluated), rng), strict=True))
    passing = _chosen(len(evaluated), round(len(evaluated) * behaviour.grounded), rng)
    grounded = {request: float(index in passing) for index, request in enumerate(evaluated)}
    for request in range(count):
        milliseconds = 800 * math.exp(0.5 * _NORMAL.inv_cdf(latency[request])) * behaviour.slowdown
        if latency[request] > 1 - behaviour.tail:
            milliseconds *= behaviour.tail_slowdown
        scores = {}
        if request in helpful:
            value = behaviour.helpfulness + 0.15 * _NORMAL.inv_cdf(helpful[request])
            scores = {"helpfulness": round(min(max(value, 0.0), 1.0), 3), "grounded": grounded[request]}
        yield Draw(
            duration_ns=round(milliseconds * 1e6),
            error=request in failing,
            input=_tokens(900 * behaviour.verbosity, 0.4, takes[request]),
            output=_tokens(200 * behaviour.verbosity, 0.5, gives[request]),
            scores=scores,
        )


def _tokens(median: float, spread: float, quantile: float) -> int:
    return 2 * round(median / 2 * math.exp(spread * _NORMAL.inv_cdf(quantile)))


def _strata(count: int, rng: random.Random) -> list[float]:
    # Not quite as far as 0 and 1, which a normal distribution does not reach.
    values = [(index + 0.05 + 0.9 * rng.random()) / count for index in range(count)]
    rng.shuffle(values)
    return values


def _chosen(count: int, chosen: int, rng: random.Random) -> frozenset[int]:
    return frozenset(rng.sample(range(count), chosen))
