# SPDX-License-Identifier: Apache-2.0
"""The examples of rollouts call commands that there are, with options that they have."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.results import Verdict

from .doubles import V1, V2, compared, metrics

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = Path(__file__).parents[2] / "examples" / "rollouts"


def example(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def test_the_job_of_argo_watches(run: Callable[..., Result], reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2), {"error_rate": Verdict.WORSE})
    (metric,) = example("argo-analysis.yaml")["spec"]["metrics"]
    (container,) = metric["provider"]["job"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["otel-loggedmodel"]
    named = {"{{args.stable}}": "v1", "{{args.canary}}": "v2"}
    assert "FAILED" in run(*(named.get(word, word) for word in container["args"]), code=1).stdout
    assert reader.asked[1][:2] == ("compare", ("v1", "v2"))


def test_the_hook_of_flagger_asks_the_gate(run: Callable[..., Result], reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2), {"error_rate": Verdict.WORSE})
    (hook,) = example("flagger-canary.yaml")["spec"]["analysis"]["webhooks"]
    assert hook["metadata"]["type"] == "bash"
    words = shlex.split(hook["metadata"]["cmd"])
    program, *arguments = words[: words.index("||")]
    assert program == "otel-loggedmodel"
    assert words[words.index("||") :] == ["||", "[", "$?", "-eq", "2", "]"]
    assert "FAILED" in run(*arguments, code=1).stdout


@pytest.mark.parametrize("page", ["rollouts.md", "verdicts.md"])
def test_commands_of_the_pages_are_commands(run: Callable[..., Result], reader: MemoryReader, page: str) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2), {"error_rate": Verdict.WORSE})
    printed = re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in printed for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "otel-loggedmodel"
        # What it judges is worse, or is not known of these.
        code = 1 if "error_rate" in line else 2
        assert "Usage" not in run(*arguments, code=code).stderr, line
