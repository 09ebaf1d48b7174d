# SPDX-License-Identifier: Apache-2.0
"""The snippets of the README and of the pages that it leads to run as printed, against a real receiver."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from otlp_receiver import OtlpReceiver
from programs import run

ROOT = Path(__file__).resolve().parent.parent
# docs/applications.md and docs/comparing.md begin with what the README has, too.
PRINTED = "".join((ROOT / page).read_text() for page in ("README.md", "docs/applications.md", "docs/comparing.md"))
SNIPPETS = list(dict.fromkeys(re.findall(r"```python\n(.*?)```", PRINTED, re.DOTALL)))


def last_line(snippet: str) -> str:
    return next(line for line in reversed(snippet.splitlines()) if line)[:50]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=last_line)
def test_a_snippet_runs_as_printed(snippet: str) -> None:
    with OtlpReceiver() as receiver:
        run(snippet, receiver.endpoint, set_up="")


def test_the_first_snippet_links_its_span() -> None:
    with OtlpReceiver() as receiver:
        output = run(SNIPPETS[0], receiver.endpoint, set_up="")
        (span,) = [span for span in receiver.spans() if span.name == "answer"]
        (created,) = [span for span in receiver.spans() if span.name == "logged_model.created"]
    assert output == f"every span now carries {span.attributes['logged_model.id']}\n"
    assert span.attributes["logged_model.name"] == "my-agent-v1.0"
    assert [tuple(link)[:2] for link in span.links] == [(created.trace_id, created.span_id)]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "developing.md").read_text()
    named = set(re.findall(r"(?:`|^|\()make (?:-s )?([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_environment_variable_that_is_read_is_listed() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "document_environment.py", "--check"], check=True)
    code = "\n".join(path.read_text() for path in (ROOT / "otel_loggedmodel").rglob("*.py"))
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "environment.md").read_text(), re.MULTILINE)
    named = set(re.findall(r'"((?:OTEL_LOGGEDMODEL|MLFLOW)_\w*[A-Z])"', code))
    named.discard("MLFLOW_EXPERIMENT")  # a word of MLflow's REST API
    assert named <= set(listed)
