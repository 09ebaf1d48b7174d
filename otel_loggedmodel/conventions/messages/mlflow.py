# SPDX-License-Identifier: Apache-2.0
"""MLflow's tracing SDK: `mlflow.spanInputs` and `mlflow.spanOutputs`, which are what a function took and gave.

On the span of a model's call they are a provider's request and response.
"""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions import mlflow_spans
from otel_loggedmodel.conventions.messages import exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Part, Said, Source


def _read(said: Said) -> Iterator[Message]:
    is_call = mlflow_spans.text_of(said.attributes, mlflow_spans.SPAN_TYPE) in ("CHAT_MODEL", "LLM")
    for key, role, read in (
        (mlflow_spans.INPUTS, "input", exchanges.asked),
        (mlflow_spans.OUTPUTS, "output", exchanges.answered),
    ):
        value = values.whole_json(said.attributes.get(key))
        if value is None:
            continue
        found = read(value) if is_call else []
        yield from found or [Message(role, (Part("text", values.pretty(value)),), is_output=role == "output")]


SOURCE: Final = Source(
    name="MLflow",
    specification="https://github.com/mlflow/mlflow/blob/master/mlflow/tracing/constant.py",
    since="mlflow 2.14; over OTLP since 3.1",
    read=_read,
    inputs=(mlflow_spans.INPUTS,),
    outputs=(mlflow_spans.OUTPUTS,),
    is_json=True,
)
