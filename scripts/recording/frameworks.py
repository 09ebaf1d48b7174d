# SPDX-License-Identifier: Apache-2.0
"""The frameworks that can be recorded: what is installed, what runs, and in which scenarios."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "programs"
_GENAI: Final = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
_SDK: Final = ("opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2")
_JAVA: Final = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
# A package that Strands needs does not work with newer ones yet.
_SDK_BEFORE: Final = ("opentelemetry-sdk==1.45.1", "opentelemetry-exporter-otlp-proto-http==1.45.1")


@dataclass(frozen=True)
class Framework:
    """One framework with one instrumentation.

    Attributes:
        language: `python`, `go` or `java`.
        program: In `programs`: a file, or a folder with the project's files.
        scenarios: Handed to the program one by one, each in a process of its own; `fail` fails.
        packages: What pip installs, pinned. Projects of other languages pin in their own files.
        environment: Variables that the program gets.
        own_texts: Patterns of texts that the framework itself writes to a model.
        not_in_telemetry: By scenario, numbers of the truth that cannot be got from its spans.
        runs: By scenario, how many runs it has, if not one.
        python: The interpreter, where it cannot be the newest.
    """

    language: str
    program: str
    scenarios: Sequence[str]
    packages: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    own_texts: Sequence[str] = ()
    not_in_telemetry: Mapping[str, Sequence[str]] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)
    python: str = sys.executable


_CLAUDE: Final = "claude-agent-sdk==0.2.184"
# The program that makes the calls tries one that failed ten times more, for three minutes.
_ONE_TRY: Final = {"CLAUDE_CODE_MAX_RETRIES": "0", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}

FRAMEWORKS: Final[Mapping[str, Framework]] = {
    "strands": Framework(
        "python",
        "strands_agents.py",
        ("run", "stream", "fail"),
        (*_SDK_BEFORE, "strands-agents[openai]==1.62.0"),
    ),
    "strands_latest": Framework(
        "python",
        "strands_agents.py",
        ("run",),
        (*_SDK_BEFORE, "strands-agents[openai]==1.62.0"),
        {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"},
    ),
    "google_genai": Framework(
        "python",
        "gemini.py",
        ("chat", "tool", "stream", "fail"),
        (*_SDK, "google-genai==2.34.0", "opentelemetry-instrumentation-google-genai==1.3b0"),
        _GENAI,
        # If the SDK calls tools by itself, the span has only the usage of the last answer.
        not_in_telemetry={"tool": ("tin", "tout", "cached", "cost")},
    ),
    "bedrock": Framework(
        "python",
        "bedrock.py",
        ("chat", "tool", "stream", "fail"),
        (*_SDK, "boto3==1.44.8", "opentelemetry-instrumentation-botocore==0.66b2"),
        _GENAI,
    ),
    "bedrock_oi": Framework(
        "python",
        "bedrock.py",
        ("chat", "tool", "stream", "fail"),
        (*_SDK, "boto3==1.44.8", "openinference-instrumentation-bedrock==0.1.61"),
    ),
    "ag2": Framework(
        "python",
        "ag2_agents.py",
        ("run", "fail", "turns"),
        (*_SDK, "ag2[openai]==1.2.1"),
        runs={"turns": 2},
    ),
    "autogen": Framework(
        "python",
        "autogen_agents.py",
        ("run", "fail", "stream", "turns"),
        (
            *_SDK,
            "autogen-agentchat==0.7.5",
            "autogen-ext[openai]==0.7.5",
            "openinference-instrumentation-autogen-agentchat==0.1.22",
        ),
        own_texts=(r"An agent that provides assistance with ability to use tools\.",),
        not_in_telemetry={
            "run": ("cached", "cost"),
            "turns": ("cached", "cost"),
            "stream": ("tin", "tout", "cached", "cost"),
        },
        runs={"turns": 2},
    ),
    "mcp": Framework(
        "python",
        "mcp_tools.py",
        ("call", "fail"),
        (*_SDK, "mcp==2.3.0"),
    ),
    "claude_agent_sdk": Framework(
        "python",
        "claude_agents.py",
        ("chat", "stream", "tool", "served_tool", "turns", "fail"),
        (*_SDK, _CLAUDE),
        {
            **_ONE_TRY,
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
            "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
            "ENABLE_BETA_TRACING_DETAILED": "1",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOG_USER_PROMPTS": "1",
            "OTEL_LOG_TOOL_CONTENT": "1",
        },
        own_texts=(
            r"\Ax-anthropic-billing-header.*\Z",
            r"\A# Environment.*\Z",
            r"<system-reminder>.*?</system-reminder>",
        ),
        runs={"turns": 2},
    ),
    "claude_agent_sdk_oi": Framework(
        "python",
        "claude_agents.py",
        ("chat", "stream", "tool", "turns", "fail"),
        (*_SDK, _CLAUDE, "openinference-instrumentation-claude-agent-sdk==0.1.22"),
        {**_ONE_TRY, "INSTRUMENTED_BY": "openinference"},
        # It has the output tokens from the beginning of an answer.
        not_in_telemetry=dict.fromkeys(("chat", "stream", "tool", "turns"), ("tout", "cost")),
        runs={"turns": 2},
    ),
    "claude_agent_sdk_logfire": Framework(
        "python",
        "claude_agents.py",
        ("tool", "turns", "fail"),
        (*_SDK, _CLAUDE, "logfire==5.4.0"),
        {**_ONE_TRY, "INSTRUMENTED_BY": "logfire"},
        runs={"turns": 2},
    ),
    "claude_agent_sdk_langsmith": Framework(
        "python",
        "claude_agents.py",
        ("tool", "turns", "fail"),
        (*_SDK, _CLAUDE, "langsmith[otel]==0.15.1"),
        {
            **_ONE_TRY,
            "INSTRUMENTED_BY": "langsmith",
            "LANGSMITH_API_KEY": "none",
            "LANGSMITH_OTEL_ENABLED": "true",
            "LANGSMITH_OTEL_ONLY": "true",
            "LANGSMITH_TRACING": "true",
        },
        not_in_telemetry=dict.fromkeys(("tool", "turns"), ("tout", "cost")),
        runs={"turns": 2},
    ),
    "langchain4j": Framework(
        "java",
        "langchain4j",
        ("chat", "stream", "streams", "tool", "turns", "fail"),
        environment=_JAVA,
        not_in_telemetry=dict.fromkeys(("chat", "stream", "streams", "tool", "turns"), ("cached", "cost")),
    ),
    "langchain4j_oi": Framework(
        "java",
        "langchain4j",
        ("chat", "stream", "tool", "turns", "fail"),
        environment={**_JAVA, "INSTRUMENTED_BY": "openinference"},
        not_in_telemetry=dict.fromkeys(("chat", "stream", "tool", "turns"), ("cached", "cost")),
    ),
    "genkit_go": Framework(
        "go",
        "genkit_go",
        ("flow", "fail", "stream"),
        not_in_telemetry={"stream": ("tin", "tout", "cached", "cost")},
    ),
}
