# SPDX-License-Identifier: Apache-2.0
"""The examples of rollouts call commands that there are, with options that they have."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.results import Verdict

from .doubles import V1, V2, compared, metrics

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
