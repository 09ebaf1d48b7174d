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
    "plan": Kind.CHAIN,
    "create_agent": Kind.BUILD,
    "execute_tool": Kind.TOOL,
    "retrieval": Kind.RETRIEVER,
    # No convention has these; instrumentations that follow it otherwise write them for what contains calls.
    "agent_step": Kind.CHAIN,
    "chain": Kind.CHAIN,
    "execute_event_loop_cycle": Kind.CHAIN,
    "execute_task": Kind.CHAIN,
    "framework": Kind.CHAIN,
    "invoke_swarm": Kind.CHAIN,
    "invoke_graph": Kind.CHAIN,
    "workflow": Kind.CHAIN,
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
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.cache_write.input_tokens", since="GenAI 0.1.0"),
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.cache_creation.input_tokens", since="1.40.0"),
        Place(Thing.REASONING_TOKENS, "gen_ai.usage.reasoning.output_tokens", since="GenAI 0.1.0"),
        Place(Thing.INPUT_AUDIO_TOKENS, "gen_ai.usage.audio.input_tokens", since="GenAI 0.1.0"),
        Place(Thing.INPUT_IMAGE_TOKENS, "gen_ai.usage.image.input_tokens", since="GenAI 0.1.0"),
        Place(Thing.OUTPUT_AUDIO_TOKENS, "gen_ai.usage.audio.output_tokens", since="GenAI 0.1.0"),
        Place(Thing.OUTPUT_IMAGE_TOKENS, "gen_ai.usage.image.output_tokens", since="GenAI 0.1.0"),
        Place(Thing.CACHE_READ_AUDIO_TOKENS, "gen_ai.usage.audio.cache_read.input_tokens", since="GenAI 0.1.0"),
        Place(Thing.PROVIDER, "gen_ai.provider.name", since="1.37.0"),
        Place(Thing.PROVIDER, "gen_ai.system", since="until 1.36.0"),
        Place(Thing.RESPONSE_MODEL, "gen_ai.response.model", since="1.25.0"),
        Place(Thing.REQUEST_MODEL, "gen_ai.request.model", since="1.25.0"),
        Place(Thing.RESPONSE_ID, "gen_ai.response.id", since="1.25.0"),
        Place(Thing.KIND, "gen_ai.operation.name", since="1.27.0", kinds=_OPERATIONS),
        Place(Thing.ADDRESS, "server.address", since="1.27.0"),
        Place(Thing.CONVERSATION, "gen_ai.conversation.id", since="1.34.0"),
        Place(Thing.CONVERSATION, "session.id"),
        Place(Thing.USER, "user.id"),
        Place(Thing.USER, "enduser.id"),
        Place(Thing.PROMPT_NAME, "gen_ai.prompt.name", since="1.40.0"),
        Place(Thing.PROMPT_VERSION, "gen_ai.prompt.version", since="GenAI 0.1.0"),
        Place(Thing.AGENT, "gen_ai.agent.name", since="1.29.0"),
        Place(Thing.TOOL, "gen_ai.tool.name", since="1.31.0"),
        Place(Thing.FIRST_CHUNK, "gen_ai.response.time_to_first_chunk", since="1.40.0"),
        Place(Thing.FIRST_CHUNK, "gen_ai.client.operation.time_to_first_chunk"),
        Place(Thing.IS_STREAMED, "gen_ai.request.stream", since="1.40.0"),
        Place(Thing.ERROR_TYPE, "error.type", since="1.25.0"),
        Place(Thing.INPUT_MESSAGES, "gen_ai.input.messages", since="1.37.0"),
        Place(Thing.OUTPUT_MESSAGES, "gen_ai.output.messages", since="1.37.0"),
    ),
)
