# SPDX-License-Identifier: Apache-2.0
"""`doctor` names two installed instrumentations that state one call, and what switches one of them off."""

from pathlib import Path

import pytest

pytest.importorskip("typer")

from otel_loggedmodel.commands.diagnosis import stating

OPENINFERENCE = ("openinference-instrumentation-openai", "openai", "0.1.66")
OPENLLMETRY = ("opentelemetry-instrumentation-openai", "openai", "0.62.4")
OFFICIAL = ("opentelemetry-instrumentation-openai-v2", "openai_v2", "2.4")
GENAI = ("opentelemetry-instrumentation-genai-openai", "genai-openai", "1.3")
LANGCHAIN = ("openinference-instrumentation-langchain", "langchain", "0.1.80")
LANGCHAIN_2 = ("opentelemetry-instrumentation-langchain", "langchain", "0.62.4")
ANTHROPIC = ("anthropic", "", "2.14.0")
HTTP = ("opentelemetry-instrumentation-requests", "requests", "0.66")
CLAUDE = ("claude-agent-sdk", "", "0.2.184")
CLAUDE_OI = ("openinference-instrumentation-claude-agent-sdk", "claude_agent_sdk", "0.1.22")
CLAUDE_ON = {"CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1"}
LOGFIRE = ("logfire", "", "5.4.0")


def install(folder: Path, *packages: tuple[str, str, str]) -> None:
    """What an installer leaves of packages, for those who ask what is installed."""
    for name, entry, version in packages:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if entry:
            (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{entry} = nothing:Nothing\n")


CASES = {
    "one alone": ([OPENINFERENCE, HTTP], {}, []),
    "two with one name": ([OPENINFERENCE, OPENLLMETRY], {}, ["uninstall"]),
    "two with names of their own": ([OPENINFERENCE, OFFICIAL], {}, ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai"]),
    "the newer official one": ([OPENINFERENCE, GENAI], {}, ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai"]),
    "one of two is disabled": (
        [OPENINFERENCE, OFFICIAL],
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai_v2, requests"},
        [],
    ),
    "all are disabled": ([OPENINFERENCE, OPENLLMETRY], {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, []),
    "a framework and what is beneath": ([LANGCHAIN_2, OPENLLMETRY], {}, ["LangChain alone"]),
    "LangSmith beside another": ([LANGCHAIN], {"LANGSMITH_OTEL_ENABLED": "true"}, ["Unset LANGSMITH_OTEL_ENABLED"]),
    "LangSmith is off": ([LANGCHAIN], {"LANGSMITH_OTEL_ENABLED": "false"}, []),
    "a package that states its calls itself": ([ANTHROPIC, LANGCHAIN], {}, ["ANTHROPIC_OPEN_TELEMETRY=false"]),
    "beside Logfire": ([ANTHROPIC, LOGFIRE], {}, ["ANTHROPIC_OPEN_TELEMETRY=false"]),
    "the Claude Agent SDK beside an instrumentation": ([CLAUDE, CLAUDE_OI], CLAUDE_ON, ["Leave openinference-"]),
    "beside Logfire, too": ([CLAUDE, LOGFIRE], CLAUDE_ON, ["Leave logfire out"]),
    "by itself": ([CLAUDE], CLAUDE_ON, []),
    "and an instrumentation alone": ([CLAUDE, CLAUDE_OI], {}, []),
    "alone": ([ANTHROPIC], {}, []),
    "before it did": ([("anthropic", "", "2.13.9"), LANGCHAIN], {}, []),
    "and no longer": ([ANTHROPIC, LANGCHAIN], {"ANTHROPIC_OPEN_TELEMETRY": "false"}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_pairs_are_named_with_the_switch(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, variables, advices = CASES[case]
    switches = ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "LANGSMITH_OTEL_ENABLED", "ANTHROPIC_OPEN_TELEMETRY")
    for name in (*switches, *CLAUDE_ON):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    install(tmp_path, *packages)
    monkeypatch.syspath_prepend(str(tmp_path))
    steps = list(stating.doubled())
    assert len(steps) == len(advices)
    for step, advice in zip(steps, advices, strict=True):
        assert advice in step.advice
        assert " and " in step.text
        assert step.outcome == "warning"
