# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation: those of each row, and all of them together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_loggedmodel.genai.assessments import Feedback, as_number
from otel_loggedmodel.genai.rows import MISSING
from otel_loggedmodel.genai.scoring import Aggregation, Scorer


@dataclass(frozen=True)
class RowResult:
    """The results of one row.

    Attributes:
        row: Its key.
        feedback: What the scorers said, in their order.
        error: Why there are no outputs, or None.
        trace_id: The trace of the outputs, or None.
        span_id: The judged span in it, or None.
        inputs: What went in. None if the rows come from a stream or file, as these are not kept.
        outputs: What came out. None for the same reason, or if the row was done before a kill.
        expectations: What should have come out. None for the same reasons as `inputs`.
        resumed: Whether it was done before a kill.
        session: The conversation that it is a turn of, or None. What was said of the whole stands with its first turn.
    """

    row: str
    feedback: Sequence[Feedback] = ()
    error: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    inputs: Any = None
    outputs: Any = None
    expectations: Any = None
    resumed: bool = False
    session: str | None = None


class Tally:
    """Adds up results while they come in. It keeps a number for each.

    Args:
        scorers: The scorers, for what is wanted of each.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._wanted: dict[str, Sequence[Aggregation]] = {
            scorer.name: scorer.aggregations for scorer in scorers if scorer.aggregations is not None
        }
        self._values: dict[str, list[float]] = {}
        self.errors: dict[str, int] = {}

    def add(self, feedback: Sequence[Feedback]) -> None:
        """Add what was said of a row."""
        for one in feedback:
            if one.error is not None:
                self.errors[one.name] = self.errors.get(one.name, 0) + 1
                continue
            number = as_number(one.value)
            if number is not None:
                self._values.setdefault(one.name, []).append(number)

    def counts(self) -> dict[str, int]:
        """How many numbers there are of each name."""
        return {name: len(values) for name, values in self._values.items()}

    def metrics(self) -> dict[str, float]:
        """`name/mean` and whatever else scorers want, by name."""
        from otel_loggedmodel.genai.aggregating import aggregated

        found: dict[str, float] = {}
        for name, values in self._values.items():
            for aggregation in self._wanted.get(name, ("mean",)):
                if callable(aggregation):
                    found[f"{name}/{getattr(aggregation, '__name__', 'aggregation')}"] = aggregation(values)
                else:
                    found[f"{name}/{aggregation}"] = aggregated(aggregation, values)
        return found


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        run_id: The run that was active, else one for this evaluation alone. All its rows and results have this id.
        run_name: What the run is called, or None.
        metrics: By `<scorer>/<aggregation>`, such as `exact_match/mean`.
        model_id: The version.
        dataset: Digest of the data set, as results carry it. Empty for traces.
        dataset_name: What it is called, or None.
        count: How many rows there were.
        error_count: How many of them have no outputs, because the predict function failed.
        resumed_count: How many were done before, by a run that was killed.
        scorer_errors: How often each scorer failed.
        rows: The outcome of each row, in the order of the data.
    """

    run_id: str
    metrics: dict[str, float]
    model_id: str
    dataset: str = ""
    dataset_name: str | None = None
    count: int = 0
    error_count: int = 0
    resumed_count: int = 0
    scorer_errors: dict[str, int] = field(default_factory=dict)
    rows: Sequence[RowResult] = field(default=(), repr=False)
    run_name: str | None = None

    @property
    def result_df(self) -> Any:
        """The rows as a pandas data frame. Its columns are named as MLflow's are: `<name>/value` and so on.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("result_df needs pandas: pip install 'otel-loggedmodel[evaluation]'") from None
        return pandas.DataFrame(list(self._records()))

    @property
    def tables(self) -> dict[str, Any]:
        """The data frame under the name that MLflow's has: `eval_results`."""
        return {"eval_results": self.result_df}

    def _records(self) -> Iterator[dict[str, Any]]:
        for row in self.rows:
            record = {
                "row": row.row,
                "inputs": row.inputs,
                "outputs": None if row.outputs is MISSING else row.outputs,
                "expectations": row.expectations,
                # MLflow's names for the same.
                "request": row.inputs,
                "response": None if row.outputs is MISSING else row.outputs,
                "state": "OK" if row.error is None else "ERROR",
                "trace_id": row.trace_id,
                "error_message": row.error,
            }
            if row.session is not None:
                record["session"] = row.session
            if isinstance(row.expectations, Mapping):
                record |= {f"{name}/value": value for name, value in row.expectations.items()}
            for feedback in row.feedback:
                record[f"{feedback.name}/value"] = feedback.value
                record[f"{feedback.name}/rationale"] = feedback.rationale
                record[f"{feedback.name}/error_message"] = feedback.error_message
            yield record
