# SPDX-License-Identifier: Apache-2.0
"""Whatever a framework was asked and answered while `scripts/record.py` recorded it is among the messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from otel_loggedmodel.conventions.messages import Message, messages_of, outputs_of

from .recorded import Event, short

FOLDER = Path(__file__).parents[1] / "recorded"
# The official instrumentation of boto3 has messages in log records alone; MCP has no model; LangChain4j has none.
WITHOUT_MESSAGES = {"bedrock", "langchain4j", "mcp"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".truth"))


def value_of(value: dict[str, Any]) -> Any:
    """A value of OTLP's JSON."""
    if "arrayValue" in value:
        return [value_of(one) for one in value["arrayValue"].get("values", [])]
    if "kvlistValue" in value:
        return attributes_of(value["kvlistValue"].get("values", []))
    return next(iter(value.values()), "")


def attributes_of(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes of OTLP's JSON."""
    return {pair["key"]: value_of(pair["value"]) for pair in pairs}


def spans_of(name: str) -> list[tuple[str, str, dict[str, Any], list[Event]]]:
    """Version, name, attributes and events of each span of a recording."""
    found = []
    for resource_spans in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["resourceSpans"]:
        version = attributes_of(resource_spans["resource"]["attributes"])["logged_model.id"]
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                events = [
                    Event(one["name"], attributes_of(one.get("attributes", []))) for one in span.get("events", [])
                ]
                found.append((version, span["name"], attributes_of(span.get("attributes", [])), events))
    return found


def messages(name: str, version: str) -> list[Message]:
    """All messages of a scenario."""
    return [
        message
        for of_version, _, attributes, events in spans_of(name)
        if of_version == version
        for message in messages_of(attributes, events)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_questions_answers_and_calls_of_tools_are_there(name: str) -> None:
    for one in json.loads((FOLDER / f"{name}.truth.json").read_text("utf-8")):
        found = messages(name, one["version"])
        if name in WITHOUT_MESSAGES:
            assert found == []
            continue
        is_failure = bool(one["truth"]["errors"])
        lines = short(found)
        if lines or not is_failure:
            assert any("QUESTION-" in line and " > " not in line for line in lines), one["version"]
        if not is_failure:
            assert any("ANSWER-" in line and " > " in line for line in lines), one["version"]


@pytest.mark.parametrize("name", NAMES)
def test_no_message_is_empty(name: str) -> None:
    for _, span, attributes, events in spans_of(name):
        for message in messages_of(attributes, events):
            assert message.says_something, (span, message)


def test_what_a_tool_gave_autogens_agent() -> None:
    assert "function: [tool result call_1] SUNNY-Bremen" in short(messages("autogen", "autogen-run"))


def test_the_answer_of_strands_agent_is_its_output() -> None:
    for recording in ("strands", "strands_latest"):
        (answer,) = (
            outputs_of(attributes, events)
            for version, name, attributes, events in spans_of(recording)
            if name.startswith("invoke_agent") and version.endswith("-run")
        )
        assert answer.strip() == "ANSWER-2"
