# SPDX-License-Identifier: Apache-2.0
"""Messages of Claude Code, whose requests are one text with a line before each part."""

from typing import Any

import pytest

from otel_loggedmodel.conventions.messages import inputs_of, outputs_of

from .recorded import Event, said


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {
                "span.type": "llm_request",
                "user_system_prompt": "be brief",
                "new_context": "[USER]\nfirst\n\nsecond\n[ASSISTANT]\nso far\n[TOOL RESULT: toolu_1]\nSUNNY",
                "response.model_output": "answer",
            },
            [
                "system: be brief",
                "user: first second",
                "assistant: so far",
                "tool: [tool result toolu_1] SUNNY",
                "assistant > answer",
            ],
        ),
        ({"span.type": "interaction", "user_prompt": "question"}, ["user: question"]),
        # What is hidden is not shown as if somebody had said it.
        ({"span.type": "interaction", "user_prompt": "<REDACTED>"}, []),
        # A line within a text is no beginning of a part.
        ({"span.type": "llm_request", "new_context": "[USER]\nsee [USER]\nhere"}, ["user: see [USER] here"]),
        ({"span.type": "llm_request", "new_context": "no part at all"}, ["user: no part at all"]),
        ({"span.type": "llm_request", "new_context": 7, "response.model_output": ["x"]}, []),
        ({"span.type": "tool", "tool_input": "[TOOL INPUT: x]\n", "new_context": "[TOOL RESULT: x]\n"}, []),
        ({"span.type": "tool", "tool_input": None}, []),
        ({"span.type": 3, "user_prompt": "question"}, []),
        ({"user_prompt": "question", "new_context": "[USER]\nquestion"}, []),
    ],
)
def test_parts_of_a_request(attributes: dict[str, Any], expected: list[str]) -> None:
    assert said(attributes) == expected


def test_what_a_tool_took_and_gave() -> None:
    attributes = {
        "span.type": "tool",
        "tool_input": '[TOOL INPUT: mcp__tools__get_weather]\n{"city":"Bremen"}',
        "new_context": '[TOOL RESULT: mcp__tools__get_weather]\n[{"type":"text","text":"SUNNY-Bremen"}]',
    }
    assert said(attributes) == ['input: { "city": "Bremen" }', "tool > [tool result] SUNNY-Bremen"]
    events = [Event("tool.output", {"output": "SUNNY"}), Event("other", {"output": "CLOUDY"})]
    assert said(attributes, events)[1] == "tool > [tool result] SUNNY"
    assert inputs_of(attributes) == [{"role": "input", "content": '{\n  "city": "Bremen"\n}'}]
    assert outputs_of({"span.type": "llm_request", "response.model_output": "answer"}) == "answer"
