# SPDX-License-Identifier: Apache-2.0
"""Messages, in whichever convention and however broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlflow_recorded
from otel_loggedmodel.conventions.messages import Message, Part, inputs_of, outputs_of
from otel_loggedmodel.conventions.messages import messages_of as messages_in
from otel_loggedmodel.store.trace_results import Span, SpanEvent
from pages import sent

from .recorded import Event


def span_of(attributes: dict[str, object], *events: SpanEvent) -> Span:
    return Span(
        trace_id="t",
        span_id="s",
        parent_span_id=None,
        name="n",
        kind="Client",
        service="x",
        start_ns=0,
        duration_ns=1,
        status="Ok",
        attributes={key: str(value) for key, value in attributes.items()},
        events=events,
    )


def messages_of(span: Span) -> list[Message]:
    return messages_in(span.attributes, span.events)


def event(name: str, **attributes: str) -> SpanEvent:
    return SpanEvent(time_ns=0, name=name, attributes=attributes)


def test_opentelemetry_messages_on_the_span_or_on_an_event() -> None:
    on_span = messages_of(span_of(dict(sent.OTEL)))
    assert [message.role for message in on_span] == ["system", "user", "assistant", "tool", "assistant"]
    assert on_span[2].parts == (Part("tool call", '{\n  "parcel": "P-77"\n}', "track"),)
    assert on_span[3].parts == (Part("tool result", "in Graz", "1"),)
    assert on_span[4] == Message("assistant", (Part("text", "It is in Graz."),), is_output=True)
    details = SpanEvent(time_ns=0, name="gen_ai.client.inference.operation.details", attributes=dict(sent.OTEL))
    assert messages_of(span_of({}, details)) == on_span


def test_events_of_earlier_releases() -> None:
    calls = json.dumps([{"id": "1", "type": "function", "function": {"name": "track", "arguments": '{"a": 1}'}}])
    found = messages_of(
        span_of(
            {},
            event("gen_ai.system.message", content="Be brief."),
            event("gen_ai.user.message", content="Where?"),
            event("gen_ai.assistant.message", tool_calls=calls),
            event("gen_ai.choice", message=json.dumps({"content": "Graz."}), index="0"),
        )
    )
    assert found == [
        Message("system", (Part("text", "Be brief."),)),
        Message("user", (Part("text", "Where?"),)),
        Message("assistant", (Part("tool call", '{\n  "a": 1\n}', "track"),)),
        Message("assistant", (Part("text", "Graz."),), is_output=True),
    ]


@pytest.mark.parametrize("attributes", [sent.OPENINFERENCE, sent.OPENLLMETRY], ids=["OpenInference", "OpenLLMetry"])
def test_numbered_messages(attributes: dict[str, object]) -> None:
    system, user, answer = messages_of(span_of(dict(attributes)))
    assert system == Message("system", (Part("text", "Be brief."),))
    assert user == Message("user", (Part("text", "Where is my parcel?"),))
    assert answer.is_output
    assert [part.kind for part in answer.parts] == ["text", "tool call"]
    assert answer.parts[1].name == "track"


def test_numbers_are_numbers() -> None:
    attributes = {f"gen_ai.prompt.{number}.content": f"message {number}" for number in reversed(range(12))}
    assert [message.parts[0].text for message in messages_of(span_of(attributes))] == [
        f"message {number}" for number in range(12)
    ]


def test_what_a_step_took_and_gave_where_there_are_no_messages() -> None:
    found = messages_of(span_of({"input.value": '{"question": "Where?"}', "output.value": "Graz."}))
    assert found == [
        Message("input", (Part("text", '{\n  "question": "Where?"\n}'),)),
        Message("output", (Part("text", "Graz."),), is_output=True),
    ]


def mlflow(span_type: str, inputs: object, outputs: object) -> Span:
    """A span as MLflow's tracing SDK writes it: every value as JSON."""
    return span_of(
        {
            "mlflow.spanType": json.dumps(span_type),
            "mlflow.spanInputs": json.dumps(inputs),
            "mlflow.spanOutputs": json.dumps(outputs),
        }
    )


def texts(messages: list[Message]) -> list[tuple[str, str, str, bool]]:
    """Role, kind, text and direction of the parts of messages."""
    return [
        (message.role, part.kind, f"{part.name}{part.text}", message.is_output)
        for message in messages
        for part in message.parts
    ]


def test_mlflows_spans_of_a_chat_with_a_tool() -> None:
    assert texts(messages_of(mlflow_recorded.named("Completions", 1))) == [
        ("system", "text", "Be brief.", False),
        ("user", "text", "How is the weather?", False),
        ("assistant", "tool call", 'weather{\n  "city": "Bremen"\n}', False),
        ("tool", "text", "Rain in Bremen.", False),
        ("assistant", "text", "The answer is 42.", True),
    ]
    # Its stream comes in events, and whole as the output.
    assert texts(messages_of(mlflow_recorded.named("Completions", 2))) == [
        ("user", "text", "What is the answer?", False),
        ("assistant", "text", "The answer is 42.", True),
    ]
    assert texts(messages_of(mlflow_recorded.named("priced"))) == [
        ("user", "text", "What is the answer?", False),
        ("assistant", "text", "42", True),
    ]


def test_mlflows_spans_of_a_function_show_what_it_took_and_gave() -> None:
    assert messages_of(mlflow_recorded.named("weather")) == [
        Message("input", (Part("text", '{\n  "city": "Bremen"\n}'),)),
        Message("output", (Part("text", "Rain in Bremen."),), is_output=True),
    ]
    assert messages_of(mlflow_recorded.named("plan")) == []
    # Not a call of a model, whatever its arguments are called.
    search = mlflow("RETRIEVER", {"input": "rain", "top_k": 2}, ["a", "b"])
    assert messages_of(search)[0].parts == (Part("text", '{\n  "input": "rain",\n  "top_k": 2\n}'),)


# Requests and responses as providers document them:
# https://docs.anthropic.com/en/api/messages
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
# https://ai.google.dev/api/generate-content
# https://platform.openai.com/docs/api-reference/responses
@pytest.mark.parametrize(
    ("roles", "of_call", "inputs", "outputs"),
    [
        pytest.param(
            ("assistant", "user"),
            "1",
            {
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": "Weather?"},
                    {"role": "assistant", "content": [{"type": "tool_use", "name": "look", "input": {"at": "B"}}]},
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "1",
                                "content": [{"type": "text", "text": "Rain."}],
                            }
                        ],
                    },
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "It rains."}]},
            id="Anthropic",
        ),
        pytest.param(
            ("assistant", "user"),
            "1",
            {
                "system": [{"text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"text": "Weather?"}]},
                    {"role": "assistant", "content": [{"toolUse": {"name": "look", "input": {"at": "B"}}}]},
                    {
                        "role": "user",
                        "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "Rain."}]}}],
                    },
                ],
            },
            {"output": {"message": {"role": "assistant", "content": [{"text": "It rains."}]}}, "stopReason": "end"},
            id="Bedrock",
        ),
        pytest.param(
            ("model", "user"),
            "look",
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "Weather?"}]},
                    {"role": "model", "parts": [{"function_call": {"name": "look", "args": {"at": "B"}}}]},
                    {"role": "user", "parts": [{"function_response": {"name": "look", "response": "Rain."}}]},
                ],
                "config": {"system_instruction": {"parts": [{"text": "Be brief."}]}},
            },
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "It rains."}]}}]},
            id="Gemini",
        ),
        pytest.param(
            ("assistant", "tool"),
            "1",
            {
                "model": "gpt-4o",
                "instructions": "Be brief.",
                "input": [
                    {"role": "user", "content": "Weather?"},
                    {"type": "function_call", "name": "look", "arguments": '{"at": "B"}', "call_id": "1"},
                    {"type": "function_call_output", "call_id": "1", "output": "Rain."},
                ],
            },
            {
                "output": [
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "It rains."}],
                    }
                ]
            },
            id="OpenAI Responses",
        ),
    ],
)
def test_mlflows_spans_of_each_provider(roles: tuple[str, str], of_call: str, inputs: object, outputs: object) -> None:
    of_model, of_tool = roles
    assert texts(messages_of(mlflow("CHAT_MODEL", inputs, outputs))) == [
        ("system", "text", "Be brief.", False),
        ("user", "text", "Weather?", False),
        (of_model, "tool call", 'look{\n  "at": "B"\n}', False),
        (of_tool, "tool result", f"{of_call}Rain.", False),
        (of_model, "text", "It rains.", True),
    ]


def test_mlflows_spans_of_a_completion() -> None:
    assert texts(messages_of(mlflow("LLM", ["Tell me."], "No."))) == [
        ("user", "text", "Tell me.", False),
        ("assistant", "text", "No.", True),
    ]
    assert texts(messages_of(mlflow("CHAT_MODEL", {"input": "Tell me."}, {"unknown": 1}))) == [
        ("user", "text", "Tell me.", False),
        ("output", "text", '{\n  "unknown": 1\n}', True),
    ]


@pytest.mark.parametrize("text", ['[{"role": "user", "parts": [{"type": "te', "{", "plain", "[" * 5000])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert messages_of(span_of({"gen_ai.input.messages": text})) == [Message("user", (Part("text", text),))]


_FIELDS = st.sampled_from(
    [
        *("role", "parts", "content", "contents", "type", "tool_calls", "function", "arguments", "messages", "input"),
        *("choices", "message", "output", "candidates", "toolUse", "toolResult", "system", "text", "id", "name"),
        *("lc", "kwargs", "data", "image_url", "url", "source", "file", "media", "inlineData", "toolCalls", "toolName"),
        *(
            "generations",
            "outputs",
            "inputs",
            "event.name",
            "reasoning",
            "additional_kwargs",
            "audio",
            "uri",
            "refusal",
        ),
        *("mime_type", "file_id", "thinking", "summary", "response", "result", "function_call", "config", "prompt"),
    ]
)
_WORDS = st.sampled_from(
    [
        *(
            "user",
            "assistant",
            "text",
            "blob",
            "uri",
            "file",
            "reasoning",
            "thinking",
            "tool_call",
            "tool_call_response",
        ),
        *("image_url", "human", "ai", "gen_ai.choice", "gen_ai.user.message", "data:image/png;base64,AAAA", "[{", "{}"),
        *("function_call", "function_call_output", "AIMessage", "model_generation", "agent_run", "LLM", "generation"),
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | _WORDS | st.just(1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_FIELDS, inner, max_size=5),
    max_leaves=25,
)
_KEYS = st.sampled_from(
    [
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt.0.content"),
        *("llm.input_messages.1.message.content", "gen_ai.completion.2.tool_calls.0.arguments", "input.value"),
        *("llm.output_messages.0.message.contents.0.message_content.image.image.url", "output.value", "events"),
        *("mlflow.spanInputs", "mlflow.spanOutputs", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
        *(
            "ai.prompt",
            "ai.prompt.messages",
            "ai.response.text",
            "ai.response.toolCalls",
            "ai.toolCall.args",
            "ai.value",
        ),
        *("ai.response.files", "genkit:input", "genkit:output", "mastra.span.type", "mastra.agent_run.input"),
        *("mastra.agent_run.output", "gen_ai.prompt", "gen_ai.completion", "langsmith.span.kind", "request_data"),
        *("langfuse.observation.input", "langfuse.observation.output", "llm.openai.messages", "llm.openai.choices"),
        *(
            "pydantic_ai.all_messages",
            "final_result",
            "logfire.msg_template",
            "input",
            "output",
            "traceloop.entity.input",
        ),
        *("message", "content", "tool_calls", "tool.result", "gen_ai.event.content"),
    ]
)
_AS_CALLS = {
    "mlflow.spanType": '"CHAT_MODEL"',
    "openinference.span.kind": "LLM",
    "genkit:type": "util",
    "langsmith.span.kind": "llm",
    "langfuse.observation.type": "generation",
    "mastra.span.type": "agent_run",
    "logfire.msg_template": "x",
}
_EVENTS = st.sampled_from(["gen_ai.choice", "gen_ai.user.message", "gen_ai.tool.message", "gen_ai.content.prompt"])
_ATTRIBUTES = st.dictionaries(_KEYS, _JSON | _JSON.map(json.dumps) | st.text() | st.binary(max_size=4), max_size=6)


@given(_ATTRIBUTES, st.lists(st.tuples(_EVENTS, _ATTRIBUTES), max_size=3))
def test_whatever_a_span_says_becomes_texts(
    attributes: dict[str, object], events: list[tuple[str, dict[str, object]]]
) -> None:
    said = [Event(name, fields) for name, fields in events]
    for whole in (attributes, _AS_CALLS | attributes, {"gen_ai.system": "strands-agents"} | attributes):
        for message in messages_in(whole, said):
            assert isinstance(message.role, str)
            for part in message.parts:
                assert all(isinstance(text, str) for text in (part.kind, part.text, part.name))
                if part.media is not None:
                    assert isinstance(part.media.size, int | None)
        inputs_of(whole, said)
        outputs_of(whole, said)
