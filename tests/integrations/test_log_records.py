# SPDX-License-Identifier: Apache-2.0
"""Messages of the official instrumentations on the trace page, whether they come on spans or as log records."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .backend import Backend, running_backend
from .openai_server import ANSWER, OpenAIServer

QUESTION = "What is the answer?"
# The instrumentations share a name, by which none of them could be chosen.
APPLICATION = f"""
    import openai
    from opentelemetry.instrumentation.{{module}} import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    openai.OpenAI().chat.completions.create(
        model="gpt-4o", messages=[{{{{"role": "user", "content": {QUESTION!r}}}}}]
    )
"""
EXPERIMENTAL = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MODES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "openai-v2, EVENT_ONLY": (
        "openai_v2",
        {CAPTURE: "EVENT_ONLY", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
    "genai-openai, SPAN_ONLY": ("genai.openai", {CAPTURE: "SPAN_ONLY", **EXPERIMENTAL}, []),
    "genai-openai, EVENT_ONLY": (
        "genai.openai",
        {CAPTURE: "EVENT_ONLY", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
    "genai-openai, SPAN_AND_EVENT": (
        "genai.openai",
        {CAPTURE: "SPAN_AND_EVENT", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(tmp_path_factory.mktemp("backend")) as backend:
        yield backend


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def events_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for span in trace["spans"] for event in span["events"]]


@pytest.mark.parametrize(("module", "variables", "expected"), MODES.values(), ids=MODES)
def test_messages_are_shown_once_however_they_come(
    backend: Backend, server: OpenAIServer, module: str, variables: dict[str, str], expected: list[str]
) -> None:
    version = f"{module}-{variables[CAPTURE]}"
    command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c"]
    done = subprocess.run(
        [*command, textwrap.dedent(APPLICATION).format(module=module)],
        env={
            **os.environ,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "planted",
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            # The distribution exports metrics by default, and nothing is to complain.
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,httpx,requests,urllib3",
            "MLFLOW_ACTIVE_MODEL_ID": version,
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (summary,) = backend.traces(version)
    trace = backend.trace(summary["trace_id"])
    found = events_of(trace)
    assert sorted(event["name"] for event in found) == expected
    assert {event["attributes"]["logged_model.id"] for event in found} <= {version}
    page = backend.trace_page(summary["trace_id"], summary["span_id"])
    conversation = page.partition("<h3>Messages")[2].partition("<details")[0] or page
    assert QUESTION in conversation
    assert "".join(ANSWER) in conversation
