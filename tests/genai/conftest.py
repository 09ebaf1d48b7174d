# SPDX-License-Identifier: Apache-2.0
"""A directory for journals, and results as tests look at them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import otel_loggedmodel
from otel_loggedmodel.genai import EvaluationResult


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where journals are kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "otel-loggedmodel" / "evaluations"


@pytest.fixture
def evaluate(traced) -> Callable[..., EvaluationResult]:
    """`evaluate`, exporting to `traced`."""

    def run(data: Any, scorers: Any = (), predict_fn: Any = None, model_id: Any = "v1", **more: Any):
        return otel_loggedmodel.genai.evaluate(
            data, scorers, predict_fn, model_id, tracer_provider=traced.provider, **more
        )

    return run


@pytest.fixture
def results(traced) -> Callable[[], list[ReadableSpan]]:
    """The results that were exported."""
    return lambda: results_in(traced.memory.get_finished_spans())


def results_in(spans) -> list[ReadableSpan]:
    return [span for span in spans if span.name == "gen_ai.evaluation.result"]
