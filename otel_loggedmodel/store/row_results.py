# SPDX-License-Identifier: Apache-2.0
"""What readers get of rows of data sets: what each version made of them. What `results` says of its values holds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """What one version did with a row of a data set, and what was said of it.

    Attributes:
        trace_id: The newest trace of the row, 32 hex digits.
        span_id: The span that was judged, 16 hex digits.
        value: The mean where the row was scored several times.
        label: As `pass` or `fail`.
        explanation: The scorer's explanation.
        output: What the version answered, cut off where it is long.
    """

    trace_id: str
    span_id: str
    value: float
    label: str | None = None
    explanation: str | None = None
    output: str | None = None


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """A row of a data set that two versions have, under one evaluation.

    Attributes:
        model_id: The version that is held against the first.
        score: The evaluation's name.
        dataset: Digest of the data set.
        row: Key of the row.
        delta: The value of this version less that of the first.
        input: What the versions were given, cut off where it is long.
        expected: What should come out, as far as that was recorded; the same.
        base: What the first version did.
        candidate: What this version did.
    """

    model_id: str
    score: str
    dataset: str
    row: str
    delta: float
    input: str | None = None
    expected: str | None = None
    base: RowResult
    candidate: RowResult
