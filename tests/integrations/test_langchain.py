# SPDX-License-Identifier: Apache-2.0
"""LangChain under OpenInference's instrumentation, which makes spans in callbacks and never makes them current."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor

import otel_loggedmodel as mlflow
from otlp_receiver import ReceivedSpan

from .openai_server import ANSWER, COMPLETION_TOKENS, EMBEDDING, PROMPT_TOKENS, OpenAIServer
from .telemetry import Telemetry, counted_tokens, is_entry, reference, version_on

# The instrumentation reads a message's text as LangChain no longer wants it read.
pytestmark = pytest.mark.filterwarnings("ignore:Calling .text")

TEXT = "".join(ANSWER)
STEPS = ["ChatPromptTemplate", "ChatOpenAI", "StrOutputParser"]


@pytest.fixture(autouse=True)
def instrumented(telemetry: Telemetry) -> Iterator[None]:
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def model(openai_server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o", base_url=openai_server.base_url, api_key="planted", max_retries=0, stream_usage=True
    )


@pytest.fixture
def chain(model: ChatOpenAI) -> Runnable:
    return ChatPromptTemplate.from_messages([("user", "{question}")]) | model | StrOutputParser()


QUESTION = {"question": "What is the answer?"}


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def names(spans: list[ReceivedSpan]) -> list[str]:
    return sorted(span.name for span in spans)


def versions(telemetry: Telemetry) -> set[object]:
    return {version_on(span) for span in telemetry.spans()}


def entry_names(telemetry: Telemetry) -> list[str]:
    return names([span for span in telemetry.spans() if is_entry(span)])


def test_every_step_of_a_chain_carries_the_process_default(telemetry: Telemetry, chain: Runnable) -> None:
    mlflow.set_active_model(name="default")
    assert chain.invoke(QUESTION) == TEXT
    assert names(telemetry.spans()) == sorted(["RunnableSequence", *STEPS])
    assert versions(telemetry) == {reference("default")}
    assert entry_names(telemetry) == ["RunnableSequence"]
    assert {span.name: counted_tokens(span) for span in telemetry.spans()} == {
        **dict.fromkeys(["RunnableSequence", *STEPS], (0, 0)),
        "ChatOpenAI": (PROMPT_TOKENS, COMPLETION_TOKENS),
    }


def test_a_scope_around_a_chain(telemetry: Telemetry, chain: Runnable) -> None:
    mlflow.set_active_model(name="default")
    with mlflow.use_model(name="scoped"):
        assert chain.invoke(QUESTION) == TEXT
    assert versions(telemetry) == {reference("scoped")}
    assert entry_names(telemetry) == ["RunnableSequence"]


def test_streaming(telemetry: Telemetry, chain: Runnable) -> None:
    with mlflow.use_model(name="scoped"):
        assert "".join(chain.stream(QUESTION)) == TEXT
    assert names(telemetry.spans()) == sorted(["RunnableSequence", *STEPS])
    assert versions(telemetry) == {reference("scoped")}
    (call,) = [span for span in telemetry.spans() if span.name == "ChatOpenAI"]
    assert counted_tokens(call) == (PROMPT_TOKENS, COMPLETION_TOKENS)


def test_a_batch_in_threads(telemetry: Telemetry, chain: Runnable) -> None:
    mlflow.set_active_model(name="default")
    with mlflow.use_model(name="scoped"):
        assert chain.batch([QUESTION] * 6, {"max_concurrency": 3}) == [TEXT] * 6
    assert names(telemetry.spans()) == sorted(["RunnableSequence", *STEPS] * 6)
    assert versions(telemetry) == {reference("scoped")}
    assert entry_names(telemetry) == ["RunnableSequence"] * 6


def test_branches_that_run_in_threads(telemetry: Telemetry, chain: Runnable) -> None:
    branches = RunnableParallel({f"branch-{number}": chain for number in range(4)})
    with mlflow.use_model(name="scoped"):
        assert branches.invoke(QUESTION) == {f"branch-{number}": TEXT for number in range(4)}
    assert len(telemetry.spans()) == 1 + 4 * 4
    assert versions(telemetry) == {reference("scoped")}
    assert len(entry_names(telemetry)) == 1


async def test_async_chains_batches_and_streams(telemetry: Telemetry, chain: Runnable) -> None:
    async def handle(name: str) -> None:
        with mlflow.use_model(name=name):
            assert await chain.ainvoke(QUESTION) == TEXT
            assert await chain.abatch([QUESTION] * 2) == [TEXT] * 2
            assert "".join([part async for part in chain.astream(QUESTION)]) == TEXT

    await asyncio.gather(*(handle(f"variant-{number}") for number in range(5)))
    spans = telemetry.spans()
    assert len(spans) == 5 * 4 * (1 + len(STEPS))
    of_trace = {span.trace_id: version_on(span) for span in spans if span.parent_span_id is None}
    assert [version_on(span) for span in spans] == [of_trace[span.trace_id] for span in spans]
    assert sorted(map(str, of_trace.values())) == sorted(4 * [reference(f"variant-{number}") for number in range(5)])
    assert [is_entry(span) for span in spans] == [span.parent_span_id is None for span in spans]


def test_a_tool_and_the_calls_around_it(telemetry: Telemetry, model: ChatOpenAI) -> None:
    def agent(question: str) -> str:
        asking = model.bind_tools([weather])
        call = asking.invoke(question)
        result = weather.invoke(call.tool_calls[0])
        return asking.invoke([("user", question), call, result]).content

    with mlflow.use_model(name="agent"):
        assert RunnableLambda(agent).invoke("What is the weather?") == TEXT
    spans = telemetry.spans()
    assert names(spans) == ["ChatOpenAI", "ChatOpenAI", "agent", "weather"]
    assert versions(telemetry) == {reference("agent")}
    (tool_span,) = [span for span in spans if span.name == "weather"]
    assert tool_span.attributes["openinference.span.kind"] == "TOOL"
    assert entry_names(telemetry) == ["agent"]


def test_embeddings_within_the_chain(telemetry: Telemetry, openai_server: OpenAIServer) -> None:
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=openai_server.base_url,
        api_key="planted",
        check_embedding_ctx_length=False,  # counting tokens here would fetch the tokenizer's vocabulary
    )
    client = OpenAIInstrumentor()
    client.instrument(tracer_provider=telemetry.provider)
    try:
        with mlflow.use_model(name="retriever"):
            assert RunnableLambda(embeddings.embed_query).invoke("a text") == list(EMBEDDING)
    finally:
        client.uninstrument()
    assert {"embed_query", "CreateEmbeddings"} == {span.name for span in telemetry.spans()}
    assert versions(telemetry) == {reference("retriever")}


def test_an_error_is_the_versions(telemetry: Telemetry, openai_server: OpenAIServer, chain: Runnable) -> None:
    openai_server.fail_with = 500
    with mlflow.use_model(name="failing"), pytest.raises(openai.InternalServerError):
        chain.invoke(QUESTION)
    (entry,) = [span for span in telemetry.spans() if is_entry(span)]
    assert (entry.name, entry.status_code, version_on(entry)) == ("RunnableSequence", "ERROR", reference("failing"))
    assert versions(telemetry) == {reference("failing")}


def test_within_a_request_only_the_request_is_an_entry_span(telemetry: Telemetry, chain: Runnable) -> None:
    mlflow.set_active_model(name="a")
    with telemetry.tracer.start_as_current_span("request"):
        chain.invoke(QUESTION)
    assert entry_names(telemetry) == ["request"]
    assert versions(telemetry) == {reference("a")}


def test_a_step_that_chooses_another_version(telemetry: Telemetry, model: ChatOpenAI) -> None:
    @RunnableLambda
    def routed(question: str) -> str:
        with mlflow.use_model(name="expert"):
            return model.invoke(question).content

    with mlflow.use_model(name="router"):
        assert routed.invoke("What is the answer?") == TEXT
    by_name = {span.name: span for span in telemetry.spans()}
    assert version_on(by_name["routed"]) == reference("router")
    assert version_on(by_name["ChatOpenAI"]) == reference("expert")


@pytest.mark.parametrize("enclosing", [False, True])
def test_where_a_step_chooses_another_version_it_starts(
    telemetry: Telemetry, model: ChatOpenAI, enclosing: bool
) -> None:
    @RunnableLambda
    def routed(question: str) -> str:
        with mlflow.use_model(name="expert"):
            model.invoke(question)
            return model.invoke(question).content

    mlflow.set_active_model(name="router")
    if enclosing:
        with telemetry.tracer.start_as_current_span("request"):
            routed.invoke("What is the answer?")
    else:
        routed.invoke("What is the answer?")
    calls = [span for span in telemetry.spans() if span.name == "ChatOpenAI"]
    assert [is_entry(span) for span in calls] == [True, False]
    assert len(entry_names(telemetry)) == 2


def test_threads_of_the_application_have_the_process_default(telemetry: Telemetry, chain: Runnable) -> None:
    mlflow.set_active_model(name="default")
    with mlflow.use_model(name="scoped"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(chain.invoke, [QUESTION] * 2)) == [TEXT] * 2
    assert versions(telemetry) == {reference("default")}
