# SPDX-License-Identifier: Apache-2.0
"""Where instrumentations differ from what their convention says, by the name of their scope.

No attribute tells of this. It was looked up in the code of each instrumentation, or seen in what it sends. What a span
of one of them leaves out is not known, which is not the same as 0.
"""

from typing import Final

WITH_CACHED_BESIDE: Final = ("opentelemetry.instrumentation.botocore.bedrock-runtime", "openlit.otel.tracing")
"""They pass on the input tokens of Anthropic or Amazon Bedrock, which leave cached ones out.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html,
https://github.com/openlit/openlit/blob/main/sdk/python/src/openlit/instrumentation/anthropic/utils.py
"""
PROVIDERS_WITH_CACHED_BESIDE: Final = ("anthropic", "aws.bedrock")
"""The providers whose tokens these are."""
ALWAYS_WITH_CACHED_BESIDE: Final = ("com.anthropic.claude_code.tracing",)
"""They call models of Anthropic alone, whoever serves them, and pass on the input tokens without cached ones.

Source: what Claude Code 2.1.327 sends.
"""

WITHOUT_CACHED: Final = (
    # They never say how many input tokens were cached.
    "openinference.instrumentation.autogen_agentchat",
    "openinference.instrumentation.google_adk",
    "openinference.instrumentation.haystack",
    "openinference.instrumentation.smolagents",
    "semantic_kernel.utils.telemetry.model_diagnostics.decorators",
    "@opentelemetry/instrumentation-openai",
    "@traceloop/instrumentation-langchain",
    "@traceloop/instrumentation-openai",
    "com.arize.langchain4j",
    # They say it, even if it is 0, but cannot for some calls: chat completions; responses; streams.
    "openinference.instrumentation.openai_agents",
    "openinference.instrumentation.llama_index",
    "opentelemetry.instrumentation.openai_agents",
    "org.springframework.boot",
)
"""If a call by one of these says no cached tokens, not even 0, nobody knows how many there were.

Sources: the packages of these names as of November 2026.
"""
ATTRIBUTES_WITHOUT_CACHED: Final = ("input_tokens", "outcome")
"""The same for LangChain4j's module for Micrometer, which is known by these attributes. Its scope is the application's.

Source: https://github.com/langchain4j/langchain4j/tree/main/langchain4j-observation
"""

WITH_ESTIMATES: Final = ("@traceloop/instrumentation-openai", "openinference.instrumentation.claude_agent_sdk")
"""They say numbers of tokens that the provider did not count, and do not say where they did.

The first counts the tokens of streamed answers itself, without what a provider adds. Only the usage of the Responses
API is always the provider's own. The second has the output tokens from the beginning of each answer, mostly 1.
Sources: https://github.com/traceloop/openllmetry-js/blob/main/packages/instrumentation-openai/src/instrumentation.ts,
https://github.com/Arize-ai/openinference/tree/main/python/instrumentation/openinference-instrumentation-claude-agent-sdk
"""
INTEGRATION: Final = "langsmith.metadata.ls_integration"
"""The attribute by which LangSmith says what it traces."""
INTEGRATIONS_WITH_ESTIMATES: Final = ("claude-agent-sdk",)
"""Its values where the output tokens are from the beginning of each answer, as above.

Source: https://github.com/langchain-ai/langsmith-sdk/tree/main/python/langsmith/integrations/claude_agent_sdk
"""
WITH_COST_SO_FAR: Final = ("logfire.claude_agent_sdk",)
"""They say what a conversation has cost so far, again and again, as what each of its runs cost.

Source: https://github.com/pydantic/logfire/blob/main/logfire/_internal/integrations/claude_agent_sdk.py
"""
BARE_TOKENS: Final = ("input_tokens", "output_tokens")
"""Attributes of Claude Code and LangChain4j that others may use for other things, on spans that are no calls."""
RESPONSES_API: Final = "resp_"
"""How ids of answers of OpenAI's Responses API begin."""

WITH_REASONING_TWICE: Final = ("gcp.vertex.agent",)
"""They add tokens of reasoning to those of the answer. That is right for Gemini, but LiteLLM has them in it already.

A model of LiteLLM has its provider before a slash.
Sources: https://github.com/google/adk-python/blob/main/src/google/adk/telemetry/_token_usage.py,
https://github.com/google/adk-python/blob/main/src/google/adk/models/lite_llm.py
"""
GEMINI_PATHS: Final = ("endpoints", "models", "projects", "publishers", "tunedModels")
"""How names of Gemini's models begin that have a slash, too."""

WITHOUT_CONTEXT: Final = ("langsmith", "com.anthropic.claude_code.tracing")
"""They start their spans with a bare parent, so that what the context carries, as the version, is not on them.

Source: https://github.com/langchain-ai/langsmith-sdk/blob/main/python/langsmith/_internal/otel/_otel_exporter.py
"""
IN_CHILD_PROCESSES: Final = ("com.anthropic.claude_code.tracing",)
"""Those of them whose spans are a child process's, which may have a service name of its own.

Source: https://github.com/anthropics/claude-agent-sdk-python
"""

WITHOUT_PARENTS: Final = ("@traceloop/instrumentation-langchain",)
"""They start every step of a run without a parent, unless the application has a span that is current.

Source: https://github.com/traceloop/openllmetry-js/tree/main/packages/instrumentation-langchain
"""

REQUESTS_WITHOUT_PARENTS: Final = ("org.springframework.boot",)
"""They start the span of a streamed call's HTTP request without a parent.

Source: what Spring AI 2.0.1 sends.
"""

COPYING_RESOURCES: Final = ("com.anthropic.claude_code.tracing",)
"""They copy the attributes of their resource to each of their spans.

Source: what Claude Code 2.1.327 sends.
"""

WITH_FAILED_CALLS_ALONE: Final = ("com.anthropic.claude_code.tracing",)
"""If an agent of theirs gives up as a call of a model failed, only the span of the call has failed.

Source: what Claude Code 2.1.327 sends.
"""

SERVING_TOOLS: Final = ("mcp-python-sdk",)
"""They have a span for each tool that a server runs. Whoever asked for it may have one, too.

It has no parent if whoever asked sends none, as Claude Code does.

Source: https://github.com/modelcontextprotocol/python-sdk
"""
WAITING_FOR_TOOLS: Final = (
    "com.anthropic.claude_code.tracing",
    "langsmith",
    "logfire.claude_agent_sdk",
    "openinference.instrumentation.claude_agent_sdk",
)
"""They have spans of a program that waits for tools which its parent process runs.

Source: https://code.claude.com/docs/en/agent-sdk/custom-tools
"""

SWITCHES: Final = {
    "com.anthropic.sdk.python": "ANTHROPIC_OPEN_TELEMETRY=false",
    "langsmith": "LANGSMITH_OTEL_ENABLED=false",
}
"""How to switch off instrumentations that state calls beside one that somebody chose."""

LITELLM: Final = "litellm"
"""Its callback writes what its last call used on a span of the application, if there is one.

It does not say how many calls there were before. Such a span has an attribute with the call's id, and another scope.
Source: https://github.com/BerriAI/litellm/blob/main/litellm/integrations/opentelemetry.py
"""
LITELLM_CALL_ID: Final = "litellm.call_id"
"""The attribute with the id of the call."""
