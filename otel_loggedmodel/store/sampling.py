# SPDX-License-Identifier: Apache-2.0
"""What share of the traces of a version was kept by samplers, as the spans that they kept say.

Two ways of saying it are read: the threshold in the trace state of OpenTelemetry's consistent sampling
(https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/), and the percentage that samplers of
Azure Monitor leave on spans (https://learn.microsoft.com/azure/azure-monitor/app/opentelemetry-sampling). What is said
on the entry span holds for the trace.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Scope

if TYPE_CHECKING:
    from otel_loggedmodel.store.comparing import Measurement

_AZURE: Final = "_MS.sampleRate"
# The threshold is of 14 hexadecimal digits, less zeros at its end; in 16 it is a fraction of 2^64.
_THRESHOLD: Final = "extract(TraceState, '(?:^|,)[ \\t]*ot=(?:[^,;]*;)*th:([0-9a-f]{1,14})(?:[;, \\t]|$)')"
_REJECTED: Final = f"reinterpretAsUInt64(reverse(unhex(rightPad({_THRESHOLD}, 16, '0')))) / pow(2, 64)"
# A condition that an index or a small column answers, and the share that was kept.
_WAYS: Final = {
    f"{_AZURE} on spans": (
        "LoggedModelSampleRate != ''",
        "toFloat64OrZero(toString(LoggedModelSampleRate)) / 100",
    ),
    "th in their trace state": ("position(TraceState, 'th:') > 0", f"if({_THRESHOLD} = '', 0, 1 - {_REJECTED})"),
}
# Enough to say how much it is; whoever has a sampler has many.
_MOST_LOOKED_AT: Final = 10_000


@dataclass(frozen=True)
class Share:
    """How much of a version's traces was kept: between two numbers, as rates change with the load."""

    least: float
    most: float


def notes(database: Database, scope: Scope, measured: "Measurement") -> Iterator[str]:
    """The notes on versions of which only a part of the traces is there.

    Args:
        database: Where.
        scope: Which versions, and which of their traces.
        measured: Their numbers.
    """
    for way in _WAYS:
        shares = _shares(database, scope, way)
        for metrics in measured.versions:
            share = shares.get(metrics.model_id)
            if share is not None:
                yield (
                    f"A sampler kept {_text(share)} of the traces of {metrics.name or metrics.model_id}, as {way} says:"
                    " its counts and totals are of the traces that are here, each of which counts once."
                )


def _shares(database: Database, scope: Scope, way: str) -> dict[str, Share]:
    condition, share = _WAYS[way]
    version, spans, entry = scope.version, scope.spans, scope.entry
    rows = database.query(
        f"""
        SELECT version, min(share) AS least, max(share) AS most
        FROM (
            SELECT {version.sql} AS version, {share} AS share FROM {scope.source}
            WHERE {spans.sql} AND {entry.sql} AND {condition} AND share > 0 AND share < 1
            LIMIT {_MOST_LOOKED_AT}
        )
        GROUP BY version""",
        {**version.parameters, **spans.parameters, **entry.parameters},
    )
    return {str(row["version"]): Share(float(row["least"]), float(row["most"])) for row in rows}


def _text(share: Share) -> str:
    least, most = (f"{100 * number:.3g}" for number in (share.least, share.most))
    return f"{least} %" if least == most else f"{least} to {most} %"
