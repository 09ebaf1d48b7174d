# SPDX-License-Identifier: Apache-2.0
"""Messages as real frameworks wrote them, each read by the source of its convention."""

import json
from typing import Any

import pytest

from otel_loggedmodel.conventions.messages import SOURCES, inputs_of, messages_of, outputs_of

from .recorded import Event, attributes_of, events_of, said


@pytest.mark.parametrize(
    ("recording", "place", "expected"),
    [
        pytest.param(
            "agent_framework",
            0,
            [
                "system: be brief",
                "user: QUESTION-t",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "tool: [tool result call_0] SUNNY-Bremen",
                "assistant > ANSWER-1",
            ],
            id="agent_framework chat gpt-4o",
        ),
        pytest.param(
            "agent_framework",
            1,
            [
                "system: be brief",
                "user: QUESTION-t",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
                "tool > [tool result call_0] SUNNY-Bremen",
                "assistant > ANSWER-1",
            ],
            id="agent_framework invoke_agent fwagent",
        ),
        pytest.param(
            "agent_framework",
            2,
            ['input: { "city": "Bremen" }', "output > SUNNY-Bremen"],
            id="agent_framework execute_tool get_weather",
        ),
        pytest.param(
            "google_adk_spanonly",
            0,
            [
                "system: be brief INSTRUCTIONS",
                "user: QUESTION-t",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
            ],
            id="gcp.vertex.agent generate_content openai/gpt-4o",
        ),
        pytest.param(
            "pydantic_ai",
            0,
            ["system: be brief", "user: QUESTION-chat", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="pydantic-ai chat gpt-4o",
        ),
        pytest.param(
            "pydantic_ai",
            1,
            [
                "system: be brief",
                "user: QUESTION-chat",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "user: [tool result call_0] SUNNY-Bremen",
                "assistant > ANSWER-1",
            ],
            id="pydantic-ai invoke_agent fwagent",
        ),
        pytest.param(
            "pydantic_ai",
            2,
            ['input: { "city": "Bremen" }', "output > SUNNY-Bremen"],
            id="pydantic-ai execute_tool get_weather",
        ),
        pytest.param(
            "agno_oi",
            0,
            [
                "user: QUESTION-tchat",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "tool: SUNNY-Bremen",
                "assistant > ANSWER-1",
            ],
            id="openinference.instrumentation.agno OpenAIChat.invoke",
        ),
        pytest.param(
            "agno_oi",
            1,
            ['input: { "city": "Bremen" }', "output > SUNNY-Bremen"],
            id="openinference.instrumentation.agno get_weather",
        ),
        pytest.param(
            "agno_oi",
            2,
            ["input: QUESTION-tchat", "output > ANSWER-1"],
            id="openinference.instrumentation.agno fwagent.run",
        ),
        pytest.param(
            "sdk_oi",
            0,
            ["user: QUESTION-ct", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="openinference.instrumentation.openai ChatCompletion",
        ),
        pytest.param(
            "sdk_oi",
            1,
            ["system: be brief", "user: QUESTION-rr", "assistant > ANSWER-3"],
            id="openinference.instrumentation.openai Response",
        ),
        pytest.param(
            "sdk_oi",
            2,
            ["system: be brief", "user: QUESTION-m", "assistant > ANSWER-7"],
            id="openinference.instrumentation.anthropic messages.create",
        ),
        pytest.param(
            "langchain_oi",
            0,
            [
                "system: be brief",
                "user: QUESTION-chat",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "tool: SUNNY-Bremen",
                "assistant > ANSWER-2",
            ],
            id="openinference.instrumentation.langchain ChatOpenAI",
        ),
        pytest.param(
            "langchain_oi",
            1,
            [
                "user: QUESTION-chat",
                "user > QUESTION-chat",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
                "tool > SUNNY-Bremen",
                "assistant > ANSWER-2",
            ],
            id="openinference.instrumentation.langchain fwagent",
        ),
        pytest.param(
            "openai_agents_logfire",
            0,
            [
                "system: be brief",
                "user: QUESTION-responses",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "tool: SUNNY-Bremen",
                "assistant > ANSWER-1",
            ],
            id="logfire.openai_agents Responses API with {gen_ai.request.model!r}",
        ),
        pytest.param(
            "openai_agents_logfire",
            1,
            ["system: be brief", "user: QUESTION-chat", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="logfire.openai_agents Chat completion with {gen_ai.request.model!r}",
        ),
        pytest.param(
            "openai_agents_logfire",
            2,
            ['input: { "city": "Bremen" }', "output > SUNNY-Bremen"],
            id="logfire.openai_agents Function: {name}",
        ),
        pytest.param(
            "sdk_logfire",
            0,
            ["user: QUESTION-ct", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="logfire.openai Chat Completion with {request_data[model]!r}",
        ),
        pytest.param(
            "langchain_langsmith",
            0,
            ["system: be brief", "user: QUESTION-chat", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="langsmith ChatOpenAI",
        ),
        pytest.param(
            "langchain_langsmith", 1, ['input: { "city": "Bremen" }', "tool > SUNNY-Bremen"], id="langsmith get_weather"
        ),
        pytest.param(
            "langchain_langsmith",
            2,
            [
                "user: QUESTION-chat",
                "user > QUESTION-chat",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
                "tool > SUNNY-Bremen",
                "assistant > ANSWER-2",
            ],
            id="langsmith fwagent",
        ),
        pytest.param(
            "langchain_traceloop2",
            0,
            [
                "system: be brief",
                "user: QUESTION-chat",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                "tool: [tool result call_1] SUNNY-Bremen",
                "assistant > ANSWER-2",
            ],
            id="opentelemetry.instrumentation.langchain ChatOpenAI.chat",
        ),
        pytest.param(
            "openai_agents_traceloop",
            0,
            [
                "system: be brief",
                "user: QUESTION-responses",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
            ],
            id="opentelemetry.instrumentation.openai_agents openai.response",
        ),
        pytest.param(
            "other_languages",
            0,
            [
                "user: QUESTION-A",
                'assistant: [tool call get_weather] { "city": "Bremen" }',
                'tool: [tool result toolu_150] { "city": "Bremen", "temp": 7 }',
                "assistant > ANSWER-151",
            ],
            id="ai ai.generateText.doGenerate",
        ),
        pytest.param(
            "other_languages",
            1,
            ["system: be brief", "user: QUESTION-A", "assistant > ANSWER-149"],
            id="ai ai.generateText",
        ),
        pytest.param(
            "other_languages",
            2,
            ['input: { "city": "Bremen" }', 'output > { "city": "Bremen", "temp": 7 }'],
            id="ai ai.toolCall",
        ),
        pytest.param(
            "other_languages",
            3,
            ["user: QUESTION-A", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="ai ai.generateText.doGenerate",
        ),
        pytest.param("other_languages", 4, ["user: QUESTION-A"], id="ai ai.embed"),
        pytest.param(
            "other_languages",
            5,
            [
                "system: be brief",
                "user: QUESTION-A",
                'model: [tool call get_weather] { "city": "Bremen" }',
                'tool: [tool result call_126] { "temp": 7 }',
                "model > ANSWER-127",
            ],
            id="genkit-tracer openai/gpt-4o",
        ),
        pytest.param("other_languages", 6, ["input: QUESTION-A", "output > ANSWER-127"], id="genkit-tracer askFlow"),
        pytest.param(
            "other_languages",
            7,
            ['input: { "city": "Bremen" }', 'output > { "temp": 7 }'],
            id="genkit-tracer get_weather",
        ),
        pytest.param(
            "other_languages",
            8,
            ["system: be brief", "user: QUESTION-A", "assistant > ANSWER-46"],
            id="@mastra/otel-bridge invoke_agent Weather agent",
        ),
        pytest.param("other_languages", 9, ["assistant > ANSWER-53"], id="@mastra/otel-exporter chat gpt-4o"),
        pytest.param(
            "other_languages",
            10,
            ["system: be brief", "user: QUESTION-A", "assistant > ANSWER-46"],
            id="@mastra/otel-bridge model_step Weather agent",
        ),
        pytest.param(
            "other_languages",
            11,
            ['assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="@mastra/otel-bridge model_chunk Weather agent",
        ),
        pytest.param(
            "other_languages",
            12,
            ["system: be brief", "user: QUESTION-A", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="@arizeai/openinference-instrumentation-langchain ChatOpenAI",
        ),
        pytest.param(
            "other_languages",
            13,
            [
                "user: QUESTION-A",
                "user > QUESTION-A",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
                'tool > {"city":"Bremen","temp":7}',
                "assistant > ANSWER-167",
            ],
            id="@arizeai/openinference-instrumentation-langchain LangGraph",
        ),
        pytest.param(
            "other_languages",
            14,
            ["system: be brief", "user: QUESTION-A", "assistant > ANSWER-168"],
            id="@traceloop/instrumentation-langchain chat gpt-4o",
        ),
        pytest.param(
            "other_languages",
            15,
            ["system: be brief", "user: QUESTION-A", 'assistant > [tool call get_weather] { "city": "Bremen" }'],
            id="gen_ai chat gpt-4o",
        ),
        pytest.param(
            "smolagents_oi",
            0,
            [
                "system: INSTRUCTIONS",
                "user: New task: QUESTION-t",
                'assistant > [tool call get_weather] { "city": "Bremen" }',
            ],
            id="openinference.instrumentation.smolagents OpenAIModel.generate",
        ),
    ],
)
def test_recorded_messages(recording: str, place: int, expected: list[str]) -> None:
    attributes, events = attributes_of(recording, place), events_of(recording, place)
    assert said(attributes, events) == expected
    # A store has the same as texts.
    stored = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    assert said(stored, events) == expected


@pytest.mark.parametrize(
    ("recording", "place", "inputs", "outputs"),
    [
        pytest.param("agno_oi", 1, {"city": "Bremen"}, "SUNNY-Bremen", id="a tool, OpenInference"),
        pytest.param("agno_oi", 2, "QUESTION-tchat", "ANSWER-1", id="an agent, OpenInference"),
        pytest.param("agent_framework", 2, {"city": "Bremen"}, "SUNNY-Bremen", id="a tool, GenAI"),
        pytest.param("other_languages", 2, {"city": "Bremen"}, {"city": "Bremen", "temp": 7}, id="a tool, Vercel"),
        pytest.param("other_languages", 6, "QUESTION-A", "ANSWER-127", id="a flow, Genkit"),
        pytest.param("other_languages", 8, "QUESTION-A", "ANSWER-46", id="an agent, Mastra"),
        pytest.param(
            "pydantic_ai",
            0,
            [{"role": "system", "content": "be brief"}, {"role": "user", "content": "QUESTION-chat"}],
            [{"role": "assistant", "content": '{\n  "city": "Bremen"\n}'}],
            id="a model's call of a tool",
        ),
    ],
)
def test_scorers_get_values_or_else_messages(recording: str, place: int, inputs: Any, outputs: Any) -> None:
    attributes = attributes_of(recording, place)
    assert inputs_of(attributes) == inputs
    assert outputs_of(attributes) == outputs


def test_an_agents_answer_is_its_text() -> None:
    assert outputs_of(attributes_of("agent_framework", 1)) == "ANSWER-1"
    assert outputs_of(attributes_of("pydantic_ai", 1)) == "ANSWER-1"


def test_structured_values_read_as_their_json_does() -> None:
    structured = {
        "gen_ai.system_instructions": ({"type": "text", "content": "be brief"},),
        "gen_ai.input.messages": (
            {"role": "user", "parts": ({"type": "text", "content": "Q"}, {"type": "com.example", "raw": b"\x00\x01"})},
            {"role": "tool", "parts": ({"type": "tool_call_response", "id": "c1", "response": {"temp": 7}},)},
        ),
        "gen_ai.output.messages": ({"role": "assistant", "parts": ({"type": "text", "content": "A"},)},),
    }
    expected = [
        "system: be brief",
        "user: Q",
        'user: [com.example] { "type": "com.example", "raw": "AAE=" }',
        'tool: [tool result c1] { "temp": 7 }',
        "assistant > A",
    ]
    assert said(structured) == expected
    as_json = {key: json.dumps(value, default=lambda _: "AAE=") for key, value in structured.items()}
    assert said(as_json) == expected
    # Each message as a text of its own, in an array or in a JSON list.
    apart = {key: [json.dumps(one, default=lambda _: "AAE=") for one in value] for key, value in structured.items()}
    apart["gen_ai.system_instructions"] = ["be brief"]
    assert said(apart) == expected
    assert said({key: json.dumps(value) for key, value in apart.items()}) == expected


def test_messages_on_an_event() -> None:
    attributes = {"gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Q"}]}]'}
    details = Event("gen_ai.client.inference.operation.details", attributes)
    answer = Event(
        "gen_ai.client.inference.operation.details", {"gen_ai.output.messages": '[{"role":"assistant","content":"A"}]'}
    )
    assert said({}, [details, answer]) == ["user: Q", "assistant > A"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param('[{"text": "It is sunny."}]', ["assistant > It is sunny."], id="a list of blocks"),
        pytest.param("It is sunny.", ["assistant > It is sunny."], id="a text"),
        pytest.param('{"content": "It is sunny."}', ["assistant > It is sunny."], id="a message"),
        pytest.param(({"text": "It is sunny."},), ["assistant > It is sunny."], id="structured"),
        pytest.param(
            '[{"text": "Wait."}, {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "B"}}}]',
            ["assistant > Wait.", 'assistant > [tool call look] { "at": "B" }'],
            id="a call of a tool",
        ),
    ],
)
def test_an_answer_as_an_event_in_whichever_form(message: Any, expected: list[str]) -> None:
    events = [
        Event("gen_ai.user.message", {"content": '[{"text": "Weather?"}]'}),
        Event("gen_ai.choice", {"message": message}),
    ]
    assert said({}, events) == ["user: Weather?", *expected]
    assert said({"gen_ai.system": "strands-agents"}, events) == ["user: Weather?", *expected]


def test_strands_tool_is_no_message_of_the_assistants() -> None:
    events = [
        Event("gen_ai.tool.message", {"role": "tool", "content": '{"city": "Bremen"}', "id": "t1"}),
        Event("gen_ai.choice", {"message": '[{"text": "SUNNY"}]', "id": "t1"}),
    ]
    of_tool = {"gen_ai.system": "strands-agents", "gen_ai.operation.name": "execute_tool"}
    assert said(of_tool, events) == ['input: { "city": "Bremen" }', "output > SUNNY"]


def test_a_call_of_a_tool_beside_empty_parts() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "B"}'}}
    message = {"role": "assistant", "parts": [], "tool_calls": [call]}
    assert said({"gen_ai.output.messages": json.dumps([message])}) == ['assistant > [tool call look] { "at": "B" }']
    # Named twice, it is one call.
    part = {"type": "tool_call", "id": "1", "name": "look", "arguments": {"at": "B"}}
    both = {"role": "assistant", "parts": [part], "tool_calls": [call]}
    assert said({"gen_ai.output.messages": json.dumps([both])}) == ['assistant > [tool call look] { "at": "B" }']


def test_a_text_that_another_convention_has_is_not_shown_as_empty() -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Q",
        "llm.output_messages.0.message.role": "assistant",
        "output.value": "A",
    }
    assert said(attributes) == ["user: Q", "assistant > A"]


def test_instructions_alone_do_not_hide_what_was_asked() -> None:
    attributes = {
        "gen_ai.system_instructions": "be brief",
        "mastra.span.type": "agent_run",
        "mastra.agent_run.input": "Q",
        "mastra.agent_run.output": '{"text": "A", "files": []}',
    }
    assert said(attributes) == ["system: be brief", "user: Q", "assistant > A"]


def test_langfuse() -> None:
    generation = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": '[{"role": "user", "content": "Q"}]',
        "langfuse.observation.output": '{"role": "assistant", "content": "A"}',
    }
    assert said(generation) == ["user: Q", "assistant > A"]
    step = {"langfuse.observation.input": '{"city": "Bremen"}', "langfuse.observation.output": "sunny"}
    assert said(step) == ['input: { "city": "Bremen" }', "output > sunny"]
    assert (inputs_of(step), outputs_of(step)) == ({"city": "Bremen"}, "sunny")


def test_google_adk_by_default() -> None:
    request = {
        "model": "gemini-2.5-flash",
        "config": {"system_instruction": "be brief"},
        "contents": [{"role": "user", "parts": [{"text": "Q"}]}],
    }
    response = {"content": {"role": "model", "parts": [{"text": "A"}]}, "finish_reason": "STOP"}
    call = {
        "gcp.vertex.agent.llm_request": json.dumps(request),
        "gcp.vertex.agent.llm_response": json.dumps(response),
    }
    assert said(call) == ["system: be brief", "user: Q", "model > A"]
    tool = {
        "gcp.vertex.agent.llm_request": "{}",
        "gcp.vertex.agent.llm_response": "{}",
        "gcp.vertex.agent.tool_call_args": '{"city": "Bremen"}',
        "gcp.vertex.agent.tool_response": '{"w": "sunny"}',
    }
    assert said(tool) == ['input: { "city": "Bremen" }', 'output > { "w": "sunny" }']


def test_litellms_raw_request_in_pythons_own_notation() -> None:
    attributes = {
        "llm.openai.messages": "[{'role': 'user', 'content': \"What's up?\"}]",
        "llm.openai.choices": "[{'index': 0, 'message': {'role': 'assistant', 'content': 'A', 'tool_calls': None}}]",
        "llm.openai.model": "gpt-4o",
    }
    assert said(attributes) == ["user: What's up?", "assistant > A"]


def test_a_wrong_notation_is_shown_as_it_is() -> None:
    assert said({"llm.openai.messages": "[{'role': 'user', 'content': "}) == ["user: [{'role': 'user', 'content':"]


def test_every_source_says_where_it_is_described() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        assert source.specification.startswith("https://")
        assert source.since


def test_a_span_without_messages_has_none() -> None:
    assert messages_of({"http.request.method": "GET", "input": "of somebody else"}) == []
    assert inputs_of({"a": 1}) is None
    assert outputs_of({"a": 1}) is None
