# SPDX-License-Identifier: Apache-2.0
"""The official OpenAI client under the instrumentations of OpenTelemetry and of OpenInference."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from openinference.instrumentation import OITracer, TraceConfig
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInferenceInstrumentor
from openinference.semconv.trace import OpenInferenceSpanKindValues
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor as GenAIInstrumentor
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as V2Instrumentor
from opentelemetry.sdk.trace import TracerProvider

import otel_loggedmodel as mlflow
from otlp_receiver import OtlpReceiver

from .openai_server import (
    ANSWER,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    EMBEDDING,
    EMBEDDING_TOKENS,
    PROMPT_TOKENS,
    TOOL_ARGUMENTS,
    OpenAIServer,
)
from .telemetry import (
    Telemetry,
    cached_tokens,
    counted_tokens,
    is_entry,
    is_record,
    reference,
    version_on,
)

MODEL = "gpt-4o"
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "What is the answer?"}]}
EMBED = {"model": "text-embedding-3-small", "input": "a text"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}


class Instrumentation(NamedTuple):
    """An instrumentation of the client, and what its spans are called."""

    instrumentor: Any
    chat: str
    embeddings: str


INSTRUMENTATIONS = {
    "opentelemetry openai-v2": Instrumentation(V2Instrumentor, f"chat {MODEL}", f"embeddings {EMBED['model']}"),
    "opentelemetry genai-openai": Instrumentation(GenAIInstrumentor, f"chat {MODEL}", f"embeddings {EMBED['model']}"),
    "openinference": Instrumentation(OpenInferenceInstrumentor, "ChatCompletion", "CreateEmbeddings"),
}


@pytest.fixture(params=INSTRUMENTATIONS.values(), ids=INSTRUMENTATIONS.keys())
def instrumentation(request: pytest.FixtureRequest, telemetry: Telemetry) -> Iterator[Instrumentation]:
    with instrumented(request.param, telemetry.provider):
        yield request.param


class instrumented:
    """The client is instrumented for as long as this is entered."""

    def __init__(self, instrumentation: Instrumentation, provider: TracerProvider) -> None:
        self._instrumentor = instrumentation.instrumentor()
        self._provider = provider

    def __enter__(self) -> None:
        self._instrumentor.instrument(tracer_provider=self._provider)

    def __exit__(self, *exception: object) -> None:
        self._instrumentor.uninstrument()


@pytest.fixture
def client(openai_server: OpenAIServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=openai_server.base_url, api_key="planted", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(openai_server: OpenAIServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=openai_server.base_url, api_key="planted", max_retries=0) as client:
        yield client


# What an application asks for, and that it gets its answer as without anybody looking on


def ask(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(**QUESTION).choices[0].message.content == "".join(ANSWER)


def ask_streamed(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(**STREAMED)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "".join(ANSWER)


def ask_with_tool(client: openai.OpenAI) -> None:
    message = client.chat.completions.create(tools=[WEATHER], **QUESTION).choices[0].message
    assert message.tool_calls[0].function.arguments == TOOL_ARGUMENTS


def embed(client: openai.OpenAI) -> None:
    assert client.embeddings.create(**EMBED).data[0].embedding == list(EMBEDDING)


async def ask_async(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**QUESTION)
    assert answer.choices[0].message.content == "".join(ANSWER)


async def ask_streamed_async(client: openai.AsyncOpenAI) -> None:
    parts = []
    async for chunk in await client.chat.completions.create(**STREAMED):
        parts += [chunk.choices[0].delta.content or ""] if chunk.choices else []
    assert "".join(parts) == "".join(ANSWER)


async def ask_with_tool_async(client: openai.AsyncOpenAI) -> None:
    message = (await client.chat.completions.create(tools=[WEATHER], **QUESTION)).choices[0].message
    assert message.tool_calls[0].function.arguments == TOOL_ARGUMENTS


async def embed_async(client: openai.AsyncOpenAI) -> None:
    assert (await client.embeddings.create(**EMBED)).data[0].embedding == list(EMBEDDING)


CHAT_TOKENS = (PROMPT_TOKENS, COMPLETION_TOKENS)
CALLS = [(ask, CHAT_TOKENS), (ask_streamed, CHAT_TOKENS), (ask_with_tool, CHAT_TOKENS), (embed, (EMBEDDING_TOKENS, 0))]
ASYNC_CALLS = [
    (ask_async, CHAT_TOKENS),
    (ask_streamed_async, CHAT_TOKENS),
    (ask_with_tool_async, CHAT_TOKENS),
    (embed_async, (EMBEDDING_TOKENS, 0)),
]


def check(telemetry: Telemetry, instrumentation: Instrumentation, name: str, tokens: tuple[int, int]) -> None:
    """The one span is the instrumentation's own, carries the version, and says tokens where the store reads them."""
    (span,) = telemetry.spans()
    assert span.name == (instrumentation.embeddings if tokens[1] == 0 else instrumentation.chat)
    assert span.parent_span_id is None
    assert version_on(span) == reference(name)
    assert is_entry(span)
    assert span.attributes["logged_model.name"] == name
    assert counted_tokens(span) == tokens
    assert span.status_code != "ERROR"
    assert telemetry.records() == [("created", reference(name)), ("activated", reference(name))]


@pytest.mark.parametrize(("call", "tokens"), CALLS)
def test_calls_carry_the_process_default(
    telemetry: Telemetry,
    instrumentation: Instrumentation,
    client: openai.OpenAI,
    call: Callable[[openai.OpenAI], None],
    tokens: tuple[int, int],
) -> None:
    mlflow.set_active_model(name="default")
    call(client)
    check(telemetry, instrumentation, "default", tokens)


@pytest.mark.parametrize(("call", "tokens"), ASYNC_CALLS)
async def test_async_calls_carry_their_scope(
    telemetry: Telemetry,
    instrumentation: Instrumentation,
    async_client: openai.AsyncOpenAI,
    call: Callable[[openai.AsyncOpenAI], Awaitable[None]],
    tokens: tuple[int, int],
) -> None:
    with mlflow.use_model(name="scoped"):
        await call(async_client)
    check(telemetry, instrumentation, "scoped", tokens)


def test_the_environment_says_the_version(monkeypatch, openai_server: OpenAIServer, client: openai.OpenAI) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "my-agent-v1.0")
    for instrumentation in INSTRUMENTATIONS.values():
        with Telemetry() as telemetry, instrumented(instrumentation, telemetry.provider):
            ask(client)
            (span,) = telemetry.spans()
            assert (span.name, version_on(span)) == (instrumentation.chat, "my-agent-v1.0")
            assert is_entry(span)


def test_before_between_and_after_scopes(
    telemetry: Telemetry, instrumentation: Instrumentation, client: openai.OpenAI
) -> None:
    ask(client)
    with mlflow.use_model(name="a"):
        ask(client)
        with mlflow.use_model(name="b"):
            ask(client)
        ask(client)
    mlflow.set_active_model(name="default")
    ask(client)
    a, b, default = map(reference, ("a", "b", "default"))
    assert [version_on(span) for span in telemetry.spans()] == [None, a, b, a, default]


def test_within_a_request_only_the_request_is_an_entry_span(
    telemetry: Telemetry, instrumentation: Instrumentation, client: openai.OpenAI
) -> None:
    mlflow.set_active_model(name="a")
    with telemetry.tracer.start_as_current_span("request"):
        ask(client)
        ask_streamed(client)
    spans = {span.name: span for span in telemetry.spans()}
    assert {name: (version_on(span), is_entry(span)) for name, span in spans.items()} == {
        instrumentation.chat: (reference("a"), False),
        "request": (reference("a"), True),
    }
    assert [span.name for span in telemetry.spans()].count(instrumentation.chat) == 2
    assert spans[instrumentation.chat].parent_span_id == spans["request"].span_id


def test_a_version_that_a_handler_chooses_starts_with_its_first_call(
    telemetry: Telemetry, instrumentation: Instrumentation, client: openai.OpenAI
) -> None:
    mlflow.set_active_model(name="router")
    with telemetry.tracer.start_as_current_span("request"), mlflow.use_model(name="expert"):
        ask(client)
        ask(client)
    first, second, request = telemetry.spans()
    assert (version_on(request), is_entry(request)) == (reference("router"), True)
    assert (version_on(first), is_entry(first)) == (reference("expert"), True)
    assert (version_on(second), is_entry(second)) == (reference("expert"), False)


@pytest.mark.parametrize("status", [429, 500])
def test_errors_are_those_of_the_version(
    telemetry: Telemetry,
    instrumentation: Instrumentation,
    openai_server: OpenAIServer,
    client: openai.OpenAI,
    status: int,
) -> None:
    openai_server.fail_with = status
    with mlflow.use_model(name="failing"), pytest.raises(openai.APIStatusError, match=f"planted {status}"):
        ask(client)
    (span,) = telemetry.spans()
    assert (span.name, version_on(span), span.status_code) == (instrumentation.chat, reference("failing"), "ERROR")
    assert is_entry(span)
    assert counted_tokens(span) == (0, 0)


async def test_async_errors_are_those_of_the_version(
    telemetry: Telemetry,
    instrumentation: Instrumentation,
    openai_server: OpenAIServer,
    async_client: openai.AsyncOpenAI,
) -> None:
    openai_server.fail_with = 500
    with mlflow.use_model(name="failing"), pytest.raises(openai.InternalServerError):
        await ask_streamed_async(async_client)
    (span,) = telemetry.spans()
    assert (version_on(span), span.status_code, is_entry(span)) == (reference("failing"), "ERROR", True)


def test_a_stream_belongs_to_the_version_that_opened_it(
    telemetry: Telemetry, instrumentation: Instrumentation, client: openai.OpenAI
) -> None:
    with mlflow.use_model(name="opener"):
        stream = client.chat.completions.create(**STREAMED)
    with mlflow.use_model(name="reader"):
        assert len(list(stream)) == len(ANSWER) + 3
    (span,) = telemetry.spans()
    assert (version_on(span), counted_tokens(span)) == (reference("opener"), CHAT_TOKENS)


def test_a_stream_that_is_given_up_has_its_version(
    telemetry: Telemetry, instrumentation: Instrumentation, client: openai.OpenAI
) -> None:
    with mlflow.use_model(name="a"), client.chat.completions.create(**STREAMED) as stream:
        next(iter(stream))
    (span,) = telemetry.spans()
    assert (span.name, version_on(span), is_entry(span)) == (instrumentation.chat, reference("a"), True)


async def test_concurrent_tasks_do_not_mix(
    telemetry: Telemetry, instrumentation: Instrumentation, async_client: openai.AsyncOpenAI
) -> None:
    names = [f"variant-{number % 7}" for number in range(42)]

    async def handle(name: str) -> None:
        with mlflow.use_model(name=name):
            await async_client.chat.completions.create(**{**QUESTION, "model": name})

    await asyncio.gather(*map(handle, names))
    asked = [
        span.attributes.get("gen_ai.request.model", span.attributes.get("llm.model_name")) for span in telemetry.spans()
    ]
    assert [version_on(span) for span in telemetry.spans()] == [reference(str(name)) for name in asked]
    assert sorted(map(str, asked)) == sorted(names)
    assert all(is_entry(span) for span in telemetry.spans())


def test_two_instrumentations_at_once(telemetry: Telemetry, client: openai.OpenAI) -> None:
    mlflow.set_active_model(name="a")
    outer, inner = INSTRUMENTATIONS["opentelemetry genai-openai"], INSTRUMENTATIONS["openinference"]
    with instrumented(outer, telemetry.provider), instrumented(inner, telemetry.provider):
        ask(client)
    spans = {span.name: span for span in telemetry.spans()}
    assert {name: (version_on(span), is_entry(span)) for name, span in spans.items()} == {
        outer.chat: (reference("a"), True),
        inner.chat: (reference("a"), False),
    }
    assert spans[inner.chat].parent_span_id == spans[outer.chat].span_id


# OpenInference


def test_a_long_conversation_does_not_push_the_version_out(telemetry: Telemetry, client: openai.OpenAI) -> None:
    mlflow.set_active_model(name="a")
    turns = [{"role": role, "content": f"turn {turn}"} for turn in range(100) for role in ("user", "assistant")]
    with instrumented(INSTRUMENTATIONS["openinference"], telemetry.provider):
        client.chat.completions.create(model=MODEL, messages=turns)
    (span,) = telemetry.spans()
    # Two attributes for each message: more than a span of the SDK holds, so the oldest went.
    assert span.dropped_attributes > 0
    assert (version_on(span), span.attributes["logged_model.name"]) == (reference("a"), "a")
    assert counted_tokens(span) == CHAT_TOKENS
    assert is_entry(span)


def test_tokens_from_a_cache_stand_where_the_store_reads_them(telemetry: Telemetry, client: openai.OpenAI) -> None:
    mlflow.set_active_model(name="a")
    with instrumented(INSTRUMENTATIONS["openinference"], telemetry.provider):
        ask(client)
    (span,) = telemetry.spans()
    assert cached_tokens(span) == CACHED_TOKENS


def test_routing_within_a_span_of_openinferences_tracer(telemetry: Telemetry, client: openai.OpenAI) -> None:
    tracer = OITracer(telemetry.tracer, config=TraceConfig())
    kind = OpenInferenceSpanKindValues.AGENT
    with (
        instrumented(INSTRUMENTATIONS["openinference"], telemetry.provider),
        tracer.start_as_current_span("agent", openinference_span_kind=kind),
        mlflow.use_model(name="chosen"),
    ):
        ask(client)
    spans = {span.name: (version_on(span), is_entry(span)) for span in telemetry.spans()}
    assert spans == {"ChatCompletion": (reference("chosen"), False), "agent": (reference("chosen"), True)}


# In a process of its own, where nobody has written a line for us

APPLICATION = """
    import openai

    answer = openai.OpenAI().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "What is the answer?"}]
    )
    print(answer.choices[0].message.content)
"""


def test_without_a_line_of_code(openai_server: OpenAIServer, monkeypatch) -> None:
    with OtlpReceiver() as receiver:
        environment = {
            "OPENAI_BASE_URL": openai_server.base_url,
            "OPENAI_API_KEY": "planted",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_LOGGEDMODEL_NAME": "my-agent",
        }
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c"]
        done = subprocess.run(
            [*command, textwrap.dedent(APPLICATION)], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "".join(ANSWER) + "\n"
        assert "Traceback" not in done.stderr
        spans = receiver.spans()
    calls = [span for span in spans if not is_record(span)]
    # Every instrumentation of the client that is installed makes a span of the one call, each within the other, and so
    # does that of the HTTP client.
    assert {span.name: counted_tokens(span) for span in calls} == {
        "ChatCompletion": CHAT_TOKENS,
        f"chat {MODEL}": CHAT_TOKENS,
        "POST": (0, 0),
    }
    assert {version_on(span) for span in spans} == {reference("my-agent")}
    assert [is_entry(span) for span in calls] == [span.parent_span_id is None for span in calls]
    assert [is_entry(span) for span in calls].count(True) == 1
    assert [span.name for span in spans if is_record(span)] == ["logged_model.created", "logged_model.activated"]
