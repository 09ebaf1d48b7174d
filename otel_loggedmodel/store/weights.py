# SPDX-License-Identifier: Apache-2.0
"""How many traces a stored trace stands for, as the samplers say that kept it.

What is said on the entry span holds for the trace. The first of these that is said counts:

- `logged_model.adjusted_count`: so many;
- the threshold in the trace state of OpenTelemetry's consistent sampling
  (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/);
- `_MS.sampleRate`, the percentage that samplers of Azure Monitor leave on spans
  (https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry-sampling);
- `SampleRate`, one in how many, of Honeycomb's samplers
  (https://docs.honeycomb.io/manage-data-volume/sample/sampled-data-in-honeycomb/).

`logged_model.sampling.percent` counts beside it, as that sampler comes after all others. `collector-config.yaml` leaves
it on the traces that its tail sampling keeps: the percentage that it keeps of traces without an error. It keeps all
traces with one.

Means and rates of sampled traces are Hajek's: each trace counts as often as it stands for (Hajek, 1971; Horvitz and
Thompson, 1952, "A generalization of sampling without replacement").
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.store import counted
from otel_loggedmodel.store.conventions_sql import HAS_ERROR_STATUS
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.scope import Scope

ATTRIBUTES: Final = counted.SAMPLING
ADJUSTED_COUNT, _AZURE, _HONEYCOMB, PERCENT = ATTRIBUTES
STATE: Final = "th in their trace state"
# The largest that consistent sampling can say.
MOST: Final = 2.0**56
# The threshold is of 14 hexadecimal digits, less zeros at its end; in 16 it is a fraction of 2^64.
_THRESHOLD: Final = "extract(TraceState, '(?:^|,)[ \\t]*ot=(?:[^,;]*;)*th:([0-9a-f]{1,14})(?:[;, \\t]|$)')"
_REJECTED: Final = f"reinterpretAsUInt64(reverse(unhex(rightPad({_THRESHOLD}, 16, '0')))) / pow(2, 64)"
HAS_STATE: Final = "position(TraceState, 'th:') > 0"


@dataclass(frozen=True)
class Said:
    """What one version says in one of these ways.

    Attributes:
        least: The smallest weight.
        most: The largest.
        wrong: Traces that say what cannot be.
        example: One such value.
    """

    least: float
    most: float
    wrong: int
    example: str


def said_attributes(database: Database, scope: Scope) -> Iterator[str]:
    """Which of the attributes that say weights the entry spans have."""
    spans, entry = scope.spans, scope.entry
    has = [f"mapContains(LoggedModelSampling, '{name}')" for name in ATTRIBUTES]
    (row,) = database.query(
        f"SELECT {', '.join(f'max({one}) AS has_{place}' for place, one in enumerate(has))}"
        f" FROM {scope.source} WHERE {spans.sql} AND {entry.sql} AND notEmpty(LoggedModelSampling)",
        {**spans.parameters, **entry.parameters},
    )
    return (name for place, name in enumerate(ATTRIBUTES) if row[f"has_{place}"])


def weight_sql(scope: Scope, ways: frozenset[str], failed: str) -> str:
    """The weight that an entry span says; 0 where it says none, or what cannot be.

    Args:
        scope: Which traces.
        ways: The ways in which these traces say it: some of `ATTRIBUTES` and `STATE`.
        failed: Whether the trace has an error, as SQL.
    """
    first = ", ".join(
        f"{_is_said(scope, way)}, {_weight(scope, way, failed)}"
        for way in (ADJUSTED_COUNT, STATE, *ATTRIBUTES[1:3])
        if way in ways
    )
    head = f"multiIf({first}, -1.)" if first else "-1."
    tail = f"if({_is_said(scope, PERCENT)}, {_weight(scope, PERCENT, failed)}, -1.)" if PERCENT in ways else "-1."
    return f"if({head} < 0 AND {tail} < 0, 0., if({head} < 0, 1., {head}) * if({tail} < 0, 1., {tail}))"


def said(database: Database, scope: Scope, ways: frozenset[str]) -> Mapping[str, Mapping[str, Said]]:
    """What each version says in each way, by the way and the version."""
    found: dict[str, dict[str, Said]] = {}
    version, spans, entry = scope.version, scope.spans, scope.entry
    for way in sorted(ways):
        rows = database.query(
            f"""
            SELECT version, minIf(weight, weight > 0) AS least, max(weight) AS most, countIf(weight = 0) AS wrong,
                anyIf(text, weight = 0) AS example
            FROM (
                SELECT toString({version.sql}) AS version, {_weight(scope, way, "0")} AS weight,
                    {_text(scope, way)} AS text
                FROM {scope.source} WHERE {spans.sql} AND {entry.sql} AND {_is_said(scope, way)}
            )
            GROUP BY version""",
            {**version.parameters, **spans.parameters, **entry.parameters},
        )
        found[way] = {
            row["version"]: Said(float(row["least"]), float(row["most"]), int(row["wrong"]), row["example"])
            for row in rows
        }
    return found


def notes(found: Mapping[str, Mapping[str, Said]], names: Mapping[str, str]) -> Iterator[str]:
    """What a reader has to know of samplers.

    Args:
        found: What `said` says.
        names: What versions are called, by their ids, in order.
    """
    sampled = {model_id for versions in found.values() for model_id, one in versions.items() if one.most > 1}
    whole = [name for model_id, name in names.items() if all(model_id not in versions for versions in found.values())]
    for way, versions in found.items():
        where = way if way == STATE else f"{way} on spans"
        for model_id, name in names.items():
            one = versions.get(model_id)
            if one is None:
                continue
            if one.most > 1:
                kind = "traces without an error" if way == PERCENT else "traces"
                yield (
                    f"A sampler kept {_share(one)} of the {kind} of {name}, as {where} says: rates, means and quantiles"
                    " count each trace as often as it says; counts and totals are of the traces that are here."
                )
            if one.wrong:
                yield (
                    f"{one.wrong} {'trace' if one.wrong == 1 else 'traces'} of {name} say with {where} what cannot be"
                    f" ({one.example[:40]!r}): {_EXPECTED[way]}."
                )
    if sampled and whole:
        yield (
            f"Traces of {' and '.join(whole)} do not say how many they stand for: each counts once, as if no sampler"
            f" had left any out. If one has, have it say so, with {ADJUSTED_COUNT} on entry spans."
        )


_EXPECTED: Final = {
    ADJUSTED_COUNT: "it is a number from 1 to 2^56, how many traces this one stands for",
    STATE: "it is a threshold of 1 to 14 hexadecimal digits",
    _AZURE: "it is a percentage above 0 and at most 100",
    _HONEYCOMB: "it is one in how many, a number from 1 to 2^56",
    PERCENT: "it is a percentage above 0 and at most 100",
}


def _attributes(scope: Scope) -> str:
    return "SpanAttributes" if scope.is_wide else "LoggedModelSampling"


def _is_said(scope: Scope, way: str) -> str:
    return f"{_THRESHOLD} != ''" if way == STATE else f"mapContains({_attributes(scope)}, '{way}')"


def _text(scope: Scope, way: str) -> str:
    return "TraceState" if way == STATE else f"{_attributes(scope)}['{way}']"


def _weight(scope: Scope, way: str, failed: str) -> str:
    number = f"toFloat64OrZero({_attributes(scope)}['{way}'])"
    raw = {
        STATE: f"1 / (1 - {_REJECTED})",
        ADJUSTED_COUNT: number,
        _HONEYCOMB: number,
        _AZURE: f"if({number} > 0, 100 / {number}, 0.)",
        PERCENT: f"if({number} > 0, if({failed}, least(1., 100 / {number}), 100 / {number}), 0.)",
    }[way]
    # Rounding may leave a little less than one.
    return f"if({raw} >= 1 - 1e-9 AND {raw} <= {MOST!r}, {raw}, 0.)"


def failed_traces(scope: Scope) -> str:
    """The traces that have an error, whichever of their spans has it, as SQL of a list of hashes."""
    return f"SELECT cityHash64(TraceId) FROM {scope.columns.spans} WHERE {HAS_ERROR_STATUS}"


def _share(one: Said) -> str:
    least, most = (f"{100 / number:.3g}" for number in (one.most, one.least))
    return f"{least} %" if least == most else f"{least} to {most} %"
