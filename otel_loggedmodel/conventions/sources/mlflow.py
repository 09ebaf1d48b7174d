# SPDX-License-Identifier: Apache-2.0
"""MLflow's tracing SDK; every value is JSON, so that a text stands in quotes."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_USAGE: Final = "mlflow.chat.tokenUsage"
KINDS: Final = {
    "LLM": Kind.LLM,
    "CHAT_MODEL": Kind.LLM,
    "EMBEDDING": Kind.EMBEDDING,
    "AGENT": Kind.AGENT,
    "CHAIN": Kind.CHAIN,
    "WORKFLOW": Kind.CHAIN,
    "TASK": Kind.CHAIN,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.RETRIEVER,
    "RERANKER": Kind.RERANKER,
    "GUARDRAIL": Kind.GUARDRAIL,
    "EVALUATOR": Kind.EVALUATOR,
}

SOURCE: Final = Source(
    name="MLflow",
    url="https://github.com/mlflow/mlflow/blob/master/mlflow/tracing/constant.py",
    places=(
        Place(Thing.INPUT_TOKENS, _USAGE, ("input_tokens",), since="3.1"),
        Place(Thing.OUTPUT_TOKENS, _USAGE, ("output_tokens",), since="3.1"),
        Place(Thing.TOTAL_TOKENS, _USAGE, ("total_tokens",), since="3.1"),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("cache_read_input_tokens",)),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("cache_creation_input_tokens",)),
        Place(Thing.COST, "mlflow.llm.cost", ("total_cost",)),
        Place(Thing.PROVIDER, "mlflow.llm.provider", form=Form.JSON),
        Place(Thing.REQUEST_MODEL, "mlflow.llm.model", form=Form.JSON),
        Place(Thing.KIND, "mlflow.spanType", kinds=KINDS, form=Form.JSON),
        Place(Thing.INPUT, "mlflow.spanInputs", form=Form.JSON),
        Place(Thing.OUTPUT, "mlflow.spanOutputs", form=Form.JSON),
    ),
)
