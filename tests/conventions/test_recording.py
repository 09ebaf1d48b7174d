# SPDX-License-Identifier: Apache-2.0
"""What records frameworks: the model server counts, recordings hold nothing of a machine, and changes are told."""

import copy
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "conventions" / "recorded"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / "scripts" / "recording").is_dir():
        pytest.skip("the scripts are not here")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.fixture
def models() -> Iterator[Any]:
    from recording.model_server import ModelServer

    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server: Any, path: str, request: dict[str, Any]) -> Any:
    body = json.dumps(request).encode()
    with urllib.request.urlopen(urllib.request.Request(server.address + path, body), timeout=30) as answer:
        return json.loads(answer.read())


def test_the_model_server_counts_what_it_says(models: Any) -> None:
    question = [{"role": "user", "content": "?"}]
    chat = ask(models, "/v1/chat/completions", {"model": "gpt-4o", "messages": question})["usage"]
    claude = ask(models, "/v1/messages", {"model": "claude-sonnet-4-5", "messages": question})["usage"]
    gemini = ask(models, "/v1beta/models/gemini-2.5-flash:generateContent", {"contents": []})["usageMetadata"]
    bedrock = ask(models, "/model/anthropic.claude/converse", {"messages": question})["usage"]
    calls, failures = models.take()
    assert failures == 0
    # Each provider has cached tokens and reasoning in its own place.
    assert [call.tokens_in for call in calls] == [
        chat["prompt_tokens"],
        claude["input_tokens"] + claude["cache_read_input_tokens"] + claude["cache_creation_input_tokens"],
        gemini["promptTokenCount"],
        bedrock["inputTokens"] + bedrock["cacheReadInputTokens"],
    ]
    assert [call.tokens_out for call in calls] == [
        chat["completion_tokens"],
        claude["output_tokens"],
        gemini["candidatesTokenCount"] + gemini["thoughtsTokenCount"],
        bedrock["outputTokens"],
    ]
    assert len({call.tokens_in for call in calls}) == len(calls)
    assert models.take() == ([], 0)


def test_a_planted_failure_is_no_call(models: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(models, "/v1/chat/completions", {"model": "gpt-4o", "messages": [{"content": "QUESTION-FAIL"}]})
    raised.value.close()
    assert raised.value.code == 500
    assert models.take() == ([], 1)


def test_recordings_have_truths_of_the_same_versions() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".truth"))
    assert names
    for name in names:
        spans = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["resourceSpans"]
        versions = {
            pair["value"]["stringValue"]
            for one in spans
            for pair in one["resource"]["attributes"]
            if pair["key"] == "logged_model.id"
        }
        truth = json.loads((FOLDER / f"{name}.truth.json").read_text("utf-8"))
        assert versions == {one["version"] for one in truth}


def test_nothing_of_a_machine_is_kept() -> None:
    from recording import keeping

    attributes = [
        {"key": "process.command", "value": {"stringValue": "python"}},
        {"key": "host.name", "value": {"stringValue": "mine"}},
        {"key": "url.full", "value": {"stringValue": "http://127.0.0.1:40404/v1"}},
        {"key": "gen_ai.prompt", "value": {"stringValue": "You are a framework's agent. QUESTION-a"}},
        {"key": "exception.stacktrace", "value": {"stringValue": "in line 1"}},
    ]
    (kept,) = keeping.kept([{"resource": {"attributes": attributes}}], ["You are a framework's agent[.]"])
    assert kept["resource"]["attributes"] == [
        {"key": "url.full", "value": {"stringValue": "http://127.0.0.1:1234/v1"}},
        {"key": "gen_ai.prompt", "value": {"stringValue": "INSTRUCTIONS QUESTION-a"}},
    ]


def test_a_second_run_says_what_changed_and_nothing_else() -> None:
    from recording import keeping

    before = json.loads((FOLDER / "strands.json").read_text("utf-8"))["resourceSpans"]
    after = copy.deepcopy(before)
    for one in after:
        for scope_spans in one["scopeSpans"]:
            for span in scope_spans["spans"]:
                span["startTimeUnixNano"] = "1"
                span["traceId"] = "0" * 32
    assert keeping.difference(before, after) == []
    (span, *_) = after[0]["scopeSpans"][0]["spans"]
    span["attributes"].append({"key": "gen_ai.new", "value": {"stringValue": "x"}})
    changes = [
        line for line in keeping.difference(before, after) if line.startswith(("+", "-")) and line[1] not in "+-"
    ]
    assert len(changes) == 1
    assert "gen_ai.new" in changes[0]


def test_the_cost_is_by_the_list() -> None:
    import record
    from recording.model_server import Call

    assert record.cost_of(Call("gpt-4o", 1009, 101, 401)) == pytest.approx(0.00303125)
    # What is written to a cache has a price of its own.
    assert record.cost_of(Call("claude-sonnet-4-5", 1007, 103, 401, 202)) == pytest.approx(0.0036348)
    # A tenth more, as the call stays in a region.
    assert record.cost_of(Call("us.anthropic.claude-sonnet-4-5-v1:0", 1000, 0, 1000)) == pytest.approx(0.00033)
    sys.modules.pop("record", None)
