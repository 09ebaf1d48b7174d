# SPDX-License-Identifier: Apache-2.0
"""What the plugin of pytest records: a run, a trace for each row, and what its assertions and scores say."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import Status, StatusCode, format_trace_id

from otel_loggedmodel import attributes
from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel.fluent import get_active_model_id
from otel_loggedmodel.genai.assessments import CODE, Feedback
from otel_loggedmodel.genai.digests import digest
from otel_loggedmodel.genai.recording import Judged, Recorder, result_span
from otel_loggedmodel.genai.run_records import EvaluationRun, ended, identified
from otel_loggedmodel.genai.run_records import begun as run_begun
from otel_loggedmodel.genai.stored import reader_of
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.instrumentor import extended_provider, instrument
from otel_loggedmodel.versions.active import Version, version_of, with_version
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.resolution import activate, model_for, version_for

PASSED: Final = "passed"
_MOST_CHARACTERS: Final = 64 * 1024
_WAIT_SECONDS: Final = 10.0
_EACH_SECONDS: Final = 0.25


class Recording:
    """A run of marked tests.

    Args:
        run: The run.
        version: Under test.
        is_worker: Whether this is a worker of pytest-xdist, whose controller tells of the run itself.
    """

    def __init__(self, run: EvaluationRun, version: Version, *, is_worker: bool) -> None:
        self._run = run
        self._version = version
        self._is_worker = is_worker
        self._provider = extended_provider(None)
        self._recorder = Recorder(self._provider)
        if not is_worker:
            self._recorder.record([run_begun(run, self._recorder.resource)])

    @property
    def for_worker(self) -> dict[str, Any]:
        """What a worker has to know, of types that pytest-xdist sends."""
        run = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self._run).items()}
        return {"run": run, "version_name": self._version.name}

    @contextmanager
    def row(self, key: str, group: str | None) -> Iterator["Work"]:
        """Work on a row: what happens meanwhile is within its trace."""
        base = trace_api.set_span_in_context(trace_api.INVALID_SPAN, context_api.get_current())
        context = with_version(base, self._version)
        said = {
            attributes.EVALUATION_ROW: digest(["test", key]),
            attributes.EVALUATION_DATASET: self._run.dataset,
            attributes.EVALUATION_DATASET_NAME: self._run.dataset_name or "",
            **self._run.row_attributes,
        }
        tracer = self._provider.get_tracer("otel_loggedmodel.pytest")
        span = tracer.start_span(key, context=context, attributes={**said, "input.value": key})
        token = context_api.attach(trace_api.set_span_in_context(span, context))
        work = Work(span, self._recorder, self._run, said[attributes.EVALUATION_ROW], group)
        try:
            yield work
        finally:
            context_api.detach(token)
            # A span that does not end is not exported.
            if not work.is_dropped:
                span.end()

    def finish(self, rows: Mapping[str, Mapping[str, Any]], total: int) -> None:
        """End the run, and have everything delivered.

        Args:
            rows: What each row came to.
            total: How many there are.
        """
        if not self._is_worker:
            record = ended(
                self._run,
                self._recorder.resource,
                is_whole=len(rows) >= total,
                rows=len(rows),
                failed=sum(bool(row["failed"]) for row in rows.values()),
                scorer_errors={},
                metrics={f"{name}/mean": mean for name, mean in _means(rows).items()},
            )
            self._recorder.record([record])
        self._recorder.flush()

    def told(self, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """What came out, in lines."""
        failed = sum(bool(row["failed"]) for row in rows.values())
        yield (
            f"{self._run.model_id} on {self._run.dataset_name}: run {self._run.name or ''} {self._run.run_id},"
            f" {len(rows)} rows, {failed} failed"
        )
        for name, mean in _means(rows).items():
            yield f"  {name} {_plain(mean)}"

    def compared(self, against: str | None) -> Iterator[str]:
        """How it compares with another run, in lines.

        Args:
            against: That run, by name or id; None for the last one on this data set.
        """
        try:
            with reader_of(None, None) as reader:
                yield from self._compared(reader, against)
        except Exception as error:  # a comparison is an extra, whatever is wrong with the store
            yield f"not compared: {error}"

    def _compared(self, reader: Any, against: str | None) -> Iterator[str]:
        from otel_loggedmodel.store.reading import RunFilter

        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            found = reader.runs(RunFilter(dataset=self._run.dataset_name))
            if any(one.run_id == self._run.run_id and one.status != "RUNNING" for one in found):
                break
            if time.monotonic() > deadline:
                yield "not compared: the store has not received this run; do its spans go there?"
                return
            time.sleep(_EACH_SECONDS)
        earlier = against or next(
            (one.run_id for one in found if one.run_id != self._run.run_id and one.is_whole), None
        )
        if earlier is None:
            yield "not compared: it is the first whole run on this data set"
            return
        comparison = reader.compare([earlier, self._run.run_id])
        yield f"against {comparison.versions[0].name or earlier}:"
        for metric, one in sorted(comparison.differences[0].metrics.items()):
            if metric.startswith("scores.") and one.base is not None and one.candidate is not None:
                why = f" ({one.reason})" if one.reason is not None else ""
                values = f"{_plain(one.base)} to {_plain(one.candidate)}"
                yield f"  {metric.removeprefix('scores.')} {values}: {one.verdict}{why}"


def _plain(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


class Work:
    """The work on one row."""

    def __init__(
        self, span: trace_api.Span, recorder: Recorder, run: EvaluationRun, row: str, group: str | None
    ) -> None:
        self._span = span
        self._recorder = recorder
        self._run = run
        self._row = row
        self._group = group
        self.is_dropped = False

    def drop(self) -> None:
        """It is none: the test was skipped."""
        self.is_dropped = True

    def end(self, row: Any, error: BaseException | None) -> dict[str, Any]:
        """Record what it came to, and return it as values that reports carry.

        Args:
            row: What the test says of itself.
            error: What it raised.
        """
        for place, value in (("input", row.inputs), ("output", row.outputs)):
            if value is not None:
                self._span.set_attribute(f"{place}.value", text_of_any(value)[:_MOST_CHARACTERS])
        has_failed = error is not None and not isinstance(error, AssertionError)
        scores = dict(row.scores)
        if has_failed:
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            self._span.record_exception(error)  # type: ignore[arg-type]
        else:
            scores[PASSED] = (error is None, None if error is None else str(error))
        context = self._span.get_span_context()
        judged = Judged(
            context.trace_id,
            context.span_id,
            self._run.model_id,
            self._run.dataset,
            self._run.dataset_name,
            self._row,
            self._group,
            self._run.row_attributes,
        )
        results = [
            result_span(
                Feedback(name=name, value=value, rationale=why, source=CODE),
                judged,
                self._recorder.resource,
                digest(["pytest", name]),
            )
            for name, (value, why) in scores.items()
        ]
        self._recorder.record(results)
        numbers = {name: float(value) for name, (value, _) in scores.items() if isinstance(value, bool | int | float)}
        return {"failed": has_failed, "scores": numbers, "trace_id": format_trace_id(context.trace_id)}


def begun(version: str | None, dataset: str, run_name: str | None, given: Mapping[str, Any] | None) -> Recording | None:
    """Begin a run; None where no version is under test.

    Args:
        version: The version under test, by name or id; None for that of the environment.
        dataset: What the tests are called together.
        run_name: What to call the run.
        given: In a worker of pytest-xdist, what its controller says.
    """
    if given is not None:
        run = EvaluationRun(**{**given["run"], "scorers": tuple(given["run"]["scorers"])})
        instrument()
        return Recording(run, version_of(run.model_id, given["version_name"]), is_worker=True)
    named = version or get_active_model_id()
    if named is None:
        return None
    is_id = version is None or has_id_shape(named) or catalogue.get(named) is not None
    under_test = version_for(model_for(None if is_id else named, named if is_id else None))
    instrument()
    activate(under_test)
    run = EvaluationRun(
        **identified(run_name, None),
        model_id=under_test.model_id,
        dataset=digest(["name", dataset]),
        dataset_name=dataset,
        scorers=(PASSED,),
        rows=None,
    )
    return Recording(run, under_test, is_worker=False)


def _means(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows.values():
        for name, value in row["scores"].items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in sorted(values.items())}
