# SPDX-License-Identifier: Apache-2.0
"""An application that MLflow's tracing SDK traces, and nothing of this library is in.

An agent that calls a model and a tool and says what both calls used together, a streamed answer, an embedding, a call
that states its cost, and one that fails.
"""

from typing import Any

import mlflow
import openai

client = openai.OpenAI()
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@mlflow.trace(span_type="TOOL")
def weather(city: str) -> str:
    return f"Rain in {city}."


@mlflow.trace(span_type="AGENT")
def answer(question: str) -> str:
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    with mlflow.start_span("plan"):
        first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
        call = first.choices[0].message.tool_calls[0]
        messages.append(first.choices[0].message.model_dump(exclude_none=True))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": weather("Bremen")})
        second = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    # What frameworks for agents do, Pydantic AI and DSPy among them.
    usages = [first.usage, second.usage]
    total = {
        "input_tokens": sum(usage.prompt_tokens for usage in usages),
        "output_tokens": sum(usage.completion_tokens for usage in usages),
        "total_tokens": sum(usage.total_tokens for usage in usages),
    }
    mlflow.get_current_active_span().set_attribute("mlflow.chat.tokenUsage", total)
    return second.choices[0].message.content


@mlflow.trace
def fail() -> None:
    raise ValueError("planted")


def main() -> None:
    mlflow.openai.autolog()
    answer("How is the weather?")
    question = [{"role": "user", "content": "What is the answer?"}]
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=question, stream=True, stream_options={"include_usage": True}
    )
    list(stream)
    client.embeddings.create(model="text-embedding-3-small", input="What is the answer?")
    with mlflow.start_span("priced", span_type="CHAT_MODEL") as span:
        span.set_inputs({"messages": question})
        span.set_outputs("42")
        span.set_attribute("mlflow.llm.model", "gpt-4o")
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
        span.set_attribute("mlflow.llm.cost", {"input_cost": 0.1, "output_cost": 0.15, "total_cost": 0.25})
    try:
        fail()
    except ValueError as error:
        print(error)
    client.close()


if __name__ == "__main__":
    main()
