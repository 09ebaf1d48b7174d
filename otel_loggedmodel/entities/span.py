# SPDX-License-Identifier: Apache-2.0
"""What kinds of work a span can be of, under the names that MLflow has for them."""

from typing import Final


class SpanType:
    """Kinds of spans, for `trace(span_type=...)` and `start_span(span_type=...)`. Any other text will do as well."""

    AGENT: Final = "AGENT"
    CHAIN: Final = "CHAIN"
    CHAT_MODEL: Final = "CHAT_MODEL"
    EMBEDDING: Final = "EMBEDDING"
    EVALUATOR: Final = "EVALUATOR"
    GUARDRAIL: Final = "GUARDRAIL"
    LLM: Final = "LLM"
    MEMORY: Final = "MEMORY"
    PARSER: Final = "PARSER"
    RERANKER: Final = "RERANKER"
    RETRIEVER: Final = "RETRIEVER"
    TASK: Final = "TASK"
    TOOL: Final = "TOOL"
    UNKNOWN: Final = "UNKNOWN"
    WORKFLOW: Final = "WORKFLOW"
