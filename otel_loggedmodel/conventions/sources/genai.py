# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's own conventions for GenAI, and the names that they had before."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_OPERATIONS: Final = {
    "chat": Kind.LLM,
    "text_completion": Kind.LLM,
    "generate_content": Kind.LLM,
    "embeddings": Kind.EMBEDDING,
    "invoke_agent": Kind.AGENT,
    "invoke_workflow": Kind.CHAIN,
    "create_agent": Kind.BUILD,
    "execute_tool": Kind.TOOL,
}

SOURCE: Final = Source(
    name="OpenTelemetry GenAI",
    url="https://github.com/open-telemetry/semantic-conventions-genai",
    places=(
        Place(Thing.INPUT_TOKENS, "gen_ai.usage.input_tokens", since="1.27.0"),
        Place(Thing.INPUT_TOKENS, "gen_ai.usage.prompt_tokens", since="until 1.26.0"),
        Place(Thing.OUTPUT_TOKENS, "gen_ai.usage.output_tokens", since="1.27.0"),
        Place(Thing.OUTPUT_TOKENS, "gen_ai.usage.completion_tokens", since="until 1.26.0"),
        Place(Thing.CACHE_READ_TOKENS, "gen_ai.usage.cache_read.input_tokens", since="1.40.0"),
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.cache_creation.input_tokens", since="1.40.0"),
        Place(Thing.PROVIDER, "gen_ai.provider.name", since="1.37.0"),
        Place(Thing.PROVIDER, "gen_ai.system", since="until 1.36.0"),
        Place(Thing.RESPONSE_MODEL, "gen_ai.response.model", since="1.25.0"),
        Place(Thing.REQUEST_MODEL, "gen_ai.request.model", since="1.25.0"),
        Place(Thing.KIND, "gen_ai.operation.name", since="1.27.0", kinds=_OPERATIONS),
        Place(Thing.TOOL, "gen_ai.tool.name", since="1.31.0"),
        Place(Thing.INPUT_MESSAGES, "gen_ai.input.messages", since="1.37.0"),
        Place(Thing.OUTPUT_MESSAGES, "gen_ai.output.messages", since="1.37.0"),
    ),
)
