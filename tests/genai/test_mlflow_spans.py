# SPDX-License-Identifier: Apache-2.0
"""Scorers see a trace of MLflow's tracing SDK as they see any other."""

import mlflow_recorded
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.genai.traces import Trace, TraceSpan
from otel_loggedmodel.store import trace_results


def test_a_trace_of_mlflow_has_inputs_outputs_types_and_tokens() -> None:
    trace = trace_of_stored(mlflow_recorded.trace_of_the_agent())
    assert trace.root is not None
    assert (trace.root.name, trace.root.span_type, trace.state) == ("answer", "AGENT", "OK")
    assert trace.inputs == {"question": "How is the weather?"}
    assert trace.outputs == "The answer is 42."
    # The agent says the sum of its calls; what it lacks, they have.
    assert trace.tokens == (34, 10)
    (tool,) = trace.search_spans(span_type="TOOL")
    assert (tool.name, tool.inputs, tool.outputs) == ("weather", {"city": "Bremen"}, "Rain in Bremen.")
    calls = trace.search_spans(span_type="chat_model")
    assert [call.inputs["model"] for call in calls] == ["gpt-4o", "gpt-4o"]
    assert calls[1].outputs["choices"][0]["message"]["content"] == "The answer is 42."


def test_a_failed_trace_of_mlflow_is_an_error() -> None:
    failed = mlflow_recorded.named("fail")
    trace = trace_of_stored(trace_results.Trace(trace_id=failed.trace_id, spans=(failed,)))
    assert (trace.state, trace.inputs, trace.outputs) == ("ERROR", {}, None)


def test_the_conventions_come_before_mlflow() -> None:
    attributes = {
        "input.value": "of OpenInference",
        "mlflow.spanInputs": '"of MLflow"',
        "openinference.span.kind": "CHAIN",
        "mlflow.spanType": '"AGENT"',
        "gen_ai.usage.input_tokens": 5,
        "mlflow.chat.tokenUsage": '{"input_tokens": 7, "output_tokens": 2}',
    }
    span = TraceSpan("s", "t", "1", None, 0, 1, attributes, "OK")
    assert (span.inputs, span.span_type) == ("of OpenInference", "CHAIN")
    assert Trace([span]).tokens == (5, 2)
