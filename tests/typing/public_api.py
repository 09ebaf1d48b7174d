# SPDX-License-Identifier: Apache-2.0
"""What type checkers see of the public API; checked by mypy, never run."""

from collections.abc import AsyncIterator, Iterator, Mapping

from opentelemetry.sdk.trace.export import SpanExporter
from typing_extensions import assert_type

import otel_loggedmodel as mlflow

assert_type(mlflow.set_active_model("a"), mlflow.ActiveModel)
assert_type(mlflow.log_feedback(trace_id="", value=True), mlflow.entities.Feedback)
mlflow.nothing  # type: ignore[attr-defined]  # noqa: B018 - names that are loaded on demand are not any names
mlflow.genai.nothing  # type: ignore[attr-defined]  # noqa: B018
with mlflow.set_active_model(name="a") as active:
    assert_type(active, mlflow.ActiveModel)
with mlflow.use_model("a") as model:
    assert_type(model, mlflow.LoggedModel)
with mlflow.use_model("a", propagate=True) as propagated:
    assert_type(propagated, mlflow.LoggedModel)
assert_type(mlflow.LoggedModelPropagator(hosts=["search"]).fields, set[str])
assert_type(mlflow.create_external_model("a").params, Mapping[str, str])
assert_type(mlflow.get_active_model_id(), str | None)
assert_type(mlflow.finalize_logged_model("m", "READY").status, mlflow.LoggedModelStatus)
with mlflow.start_run() as run:
    assert_type(run.info.run_id, str)


@mlflow.trace
def plain(x: int) -> str:
    return str(x)


@mlflow.trace(name="b", record_result=True)
async def coroutine(x: int) -> str:
    return str(x)


@mlflow.use_model("a")
def generator() -> Iterator[int]:
    yield 1


@mlflow.use_model(name="a")
async def async_generator() -> AsyncIterator[int]:
    yield 1


assert_type(plain(1), str)
assert_type(generator(), Iterator[int])
assert_type(async_generator(), AsyncIterator[int])


async def awaits() -> None:
    assert_type(await coroutine(1), str)


def exporters(inner: SpanExporter) -> None:
    assert_type(mlflow.LoggedModelExporter(inner).wrapped, SpanExporter)
    mlflow.LoggedModelExporter(None, repeat_after=60)
    kept = mlflow.LoggedModelExporter(inner, spool=True, spool_dir="d", spool_max_bytes=1 << 30, spool_max_age=3600)
    assert_type(kept.pending.spans, int)
    mlflow.LoggedModelSpanProcessor(inner, accept_baggage=True)
    mlflow.create_external_model(params={"temperature": 0.7})  # type: ignore[dict-item]
    mlflow.set_active_model(3)  # type: ignore[arg-type]


@mlflow.genai.scorer
def exact(outputs: object, expectations: dict[str, object]) -> bool:
    return outputs == expectations["answer"]


@mlflow.genai.scorer(name="short", aggregations=["mean", "p90"])
async def short(outputs: str) -> float:
    return float(len(outputs) < 10)


def evaluation() -> None:
    result = mlflow.genai.evaluate([{"inputs": {"x": 1}}], [exact, short], plain, timeout=3)
    assert_type(result.metrics, dict[str, float])
    assert_type(result, mlflow.genai.EvaluationResult)
    assert_type(mlflow.log_feedback(trace_id="a", value=True, source="human"), mlflow.entities.Feedback)
    mlflow.genai.evaluate([], timeout="3")  # type: ignore[arg-type]
    mlflow.log_feedback("a", value=True)  # type: ignore[call-arg]
