# SPDX-License-Identifier: Apache-2.0
"""Whether two instrumentations that are installed here state one call of a model, so that it is on two spans.

What is installed need not be in use, so this is only a warning. It says what switches one of the two off. Which pairs
state calls twice was seen in spans that these packages sent, see docs/frameworks.md.
"""

import importlib.metadata
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.commands.diagnosis.steps import Outcome, Step

_NAME: Final = "calls stated twice"
_INSTRUMENTATION: Final = re.compile(r"(?:openinference|opentelemetry)-instrumentation-(?:genai-)?(.+?)(?:-v\d+)?")
# One library has one name here.
_LIBRARIES: Final = {"google-generativeai": "google-genai", "llamaindex": "llama-index"}
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_ANTHROPIC: Final = "ANTHROPIC_OPEN_TELEMETRY"
_ANTHROPIC_SINCE: Final = (2, 14)
_CLAUDE_CODE: Final = "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA"
_CLAUDE_SDK: Final = "claude-agent-sdk"
_LANGSMITH: Final = "LANGSMITH_OTEL_ENABLED"
# Of these libraries, OpenTelemetry's own instrumentation states again what that of a framework has stated.
_STATES_CALLS_OF: Final = ("openai", "anthropic")


def doubled() -> Iterator[Step]:
    """A step for each pair that states calls twice; none where there is no such pair."""
    installed = _installed()
    for library, found in installed.items():
        if len(found) > 1:
            yield _step(
                f"{_and(sorted(found))} both state calls of {library}",
                _advice(found),
            )
    frameworks = sorted(name for name in installed.get("langchain", {}) if name.startswith("opentelemetry"))
    beneath = sorted(
        name
        for library in _STATES_CALLS_OF
        for name in installed.get(library, {})
        if name == f"opentelemetry-instrumentation-{library}"
    )
    if frameworks and beneath:
        yield _step(
            f"{_and([*frameworks, *beneath])} both state the calls that LangChain makes",
            f"Instrument LangChain alone, for example with {_DISABLED}={','.join(_entries(installed, beneath))}.",
        )
    langsmith = ["langsmith"] if _is_on(_LANGSMITH, default=False) else []
    if langsmith and installed.get("langchain"):
        yield _step(
            f"LangSmith, by {_LANGSMITH}, and {_and(sorted(installed['langchain']))} both state calls of LangChain",
            f"Unset {_LANGSMITH}, or leave the other out.",
        )
    others = [*langsmith, *(["logfire"] if _release("logfire") else [])]
    agents = [*installed.get(_CLAUDE_SDK, {}), *others]
    if agents and _release(_CLAUDE_SDK) and _is_on(_CLAUDE_CODE, default=False):
        yield _step(
            f"the Claude Agent SDK, by {_CLAUDE_CODE}, and {_and(sorted(agents))} both state its runs",
            f"Leave {_and(sorted(agents))} out: the SDK's own numbers are those that were paid for.",
        )
    stating = [*installed.get("anthropic", {}), *installed.get("langchain", {}), *others]
    if stating and _release("anthropic") >= _ANTHROPIC_SINCE and _is_on(_ANTHROPIC, default=True):
        yield _step(
            f"the package anthropic states its calls itself, and so do {_and(sorted(stating))}",
            f"Set {_ANTHROPIC}=false.",
        )


def _installed() -> dict[str, dict[str, str]]:
    """The instrumentations that are not disabled: for each library, the name that disables each distribution."""
    disabled = {part.strip() for part in os.environ.get(_DISABLED, "").split(",")}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in importlib.metadata.entry_points(group="opentelemetry_instrumentor"):
        name = re.sub(r"[-_.]+", "-", entry.dist.name).lower() if entry.dist is not None else ""
        match = _INSTRUMENTATION.fullmatch(name)
        if match and not {entry.name, "*"} & disabled:
            found[_LIBRARIES.get(match[1], match[1])][name] = entry.name
    return found


def _entries(installed: dict[str, dict[str, str]], names: list[str]) -> list[str]:
    return [entry for found in installed.values() for name, entry in found.items() if name in names]


def _advice(found: dict[str, str]) -> str:
    own = [entry for _, entry in sorted(found.items()) if list(found.values()).count(entry) == 1]
    switch = f", for example with {_DISABLED}={own[0]}" if own else ": uninstall it, as both have one name"
    return f"Leave one of the two out{switch}."


def _release(distribution: str) -> tuple[int, ...]:
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _is_on(variable: str, *, default: bool) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    return value not in ("false", "0", "off", "no") if value else default


def _and(names: list[str]) -> str:
    return " and ".join(names)


def _step(text: str, advice: str) -> Step:
    return Step(
        name=_NAME,
        outcome=Outcome.WARNING,
        text=f"{text}, if both are in use; tokens of such a call are on two spans",
        advice=advice,
    )
