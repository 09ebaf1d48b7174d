# SPDX-License-Identifier: Apache-2.0
"""Evaluation results through the real Collector: they arrive whole, also past a sampler that keeps nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_loggedmodel as mlflow
from otel_loggedmodel.genai import scorers

from .conftest import RunCollector
from .running import Collector
from .test_end_to_end import arrived

ANYONES_CONFIG = Path(__file__).parent / "anyones-sampler.yaml"
ROWS = [{"inputs": {"n": number}, "expectations": {"n": 0}} for number in range(40)]


def evaluated(collector: Collector, tmp_path: Path) -> mlflow.genai.EvaluationResult:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(
        BatchSpanProcessor(mlflow.LoggedModelExporter(OTLPSpanExporter(f"{collector.url}/v1/traces")))
    )
    result = mlflow.genai.evaluate(
        ROWS, [scorers.ExactMatch()], lambda n: n, "v1", tracer_provider=provider, resume_dir=tmp_path
    )
    provider.shutdown()
    return result


@pytest.mark.parametrize("sampled", [False, True])
def test_every_result_arrives_as_it_was_sent(run_collector: RunCollector, tmp_path: Path, sampled: bool) -> None:
    settings = {"SAMPLING": "tail_sampling", "KEEP_PERCENT": "0.001", "DECISION_WAIT": "1s"} if sampled else {}
    with run_collector(settings) as collector:
        result = evaluated(collector, tmp_path)
        # 40 results, 2 records of the version and 2 of the run, and 40 rows where nothing samples.
        spans = arrived(collector, 44 if sampled else 84)
    assert len(spans) == (44 if sampled else 84)
    results = [span for span in spans if span.name == "gen_ai.evaluation.result"]
    judged = {row.span_id: row for row in result.rows}
    assert len(results) == len({span.parent_span_id for span in results}) == 40
    for span in results:
        row = judged[span.parent_span_id]
        assert span.trace_id == row.trace_id
        assert span.attributes == {
            "gen_ai.evaluation.name": "exact_match",
            "gen_ai.evaluation.score.value": float(row.outputs == 0),
            "gen_ai.evaluation.score.label": "pass" if row.outputs == 0 else "fail",
            "logged_model.id": result.model_id,
            "logged_model.evaluation.source": "code",
            "logged_model.evaluation.dataset": result.dataset,
            "logged_model.evaluation.row": row.row,
            "logged_model.evaluation.run": result.run_id,
            "logged_model.evaluation.run_name": result.run_name,
            "logged_model.evaluation.scorer": scorers.ExactMatch().digest,
            "sampling.priority": 1,
        }
