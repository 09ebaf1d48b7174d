# SPDX-License-Identifier: Apache-2.0
"""How traces are compared: which are independent, how often each counts, and within which parts of the traffic.

A `Design` is made of SQL over rows of `measuring.traces`. What those rows lack is in `marks`, which is joined by trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otel_loggedmodel.store.scope import Query

_NOTHING: Final = Query("")
# Makes one number of a route and an hour. Python works it out as ClickHouse does, in 64 bits.
_SPREAD: Final = 0x9E3779B97F4A7C15
HOUR_NS: Final = 3_600_000_000_000


@dataclass(frozen=True)
class Design:
    """How traces are compared.

    Attributes:
        unit: The unit that a trace belongs to, as SQL of a hash. Units are independent of each other.
        units: What that is called: `trace`, `conversation`, or the name of an attribute.
        weight: How many traces it stands for, as SQL.
        is_unweighted: Whether it does not say so although other traces do, as SQL.
        stratum: Which part of the traffic it belongs to, as SQL of a hash.
        marks: A query of further columns by `trace`, which the SQL of the others reads.
        broken: The traces of which a span ends before it begins.
        strata: The share of each stratum that counts; empty where traces are compared as a whole.
        by: What strata are made of, in words: `route`, `hour`, `route and hour`.
        is_large: Whether there are so many traces that their values are rounded (`rounded`).
    """

    unit: str = "trace"
    units: str = "trace"
    weight: str = "1."
    is_unweighted: str = "0"
    stratum: str = "toUInt64(0)"
    marks: Query = _NOTHING
    broken: Query = _NOTHING
    strata: Mapping[int, float] = field(default_factory=dict)
    by: str = ""
    is_large: bool = False

    @property
    def is_complex(self) -> bool:
        """Whether a trace is more or less than one unit that counts once."""
        return self.units != "trace" or self.weight != "1." or bool(self.strata)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of queries that read the strata."""
        if not self.strata:
            return {}
        return {"strata": list(self.strata), "shares": list(self.strata.values())}


SIMPLE: Final = Design()


def stratum_of(route: int, hour: int) -> int:
    """The number of a stratum from the hash of its route and the hour since 1970; 0 for one that does not matter."""
    return route ^ (hour * _SPREAD) % 2**64


def stratum_sql(route: str, hour: str) -> str:
    """The same as SQL."""
    return f"bitXor(toUInt64({route}), toUInt64({hour}) * toUInt64({_SPREAD}))"
