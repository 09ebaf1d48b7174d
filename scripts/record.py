# SPDX-License-Identifier: Apache-2.0
"""Records what real frameworks emit: `make record FRAMEWORK=strands`.

It installs the framework in a folder that is removed afterwards, runs its program against a model server on this
machine that counts, and writes `tests/conventions/recorded/NAME.json`, the spans in OTLP's JSON, and `NAME.truth.json`,
what the server counted in each scenario. Where there is a recording already, it prints what has changed.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from recording import keeping
from recording.frameworks import FRAMEWORKS, PROGRAMS, Framework
from recording.model_server import Call, ModelServer
from recording.receiver import Receiver

RECORDED: Final = Path(__file__).resolve().parent.parent / "tests" / "conventions" / "recorded"
_SECONDS: Final = 900
# What the environment says of telemetry, of this interpreter and of providers is not what a program is recorded with.
_NOT_PASSED_ON: Final = ("OTEL_", "PYTHON", "CLAUDE", "ANTHROPIC", "OPENAI", "AWS_", "GOOGLE_", "GEMINI_", "MCP_")
# US dollars for a million tokens: in, cached, written to a cache, out; list prices of November 2026, by the beginning
# of a model's name.
_PRICES: Final = {
    "gpt-4o-mini": (0.15, 0.075, 0.15, 0.60),
    "gpt-4o": (2.50, 1.25, 2.50, 10.00),
    "text-embedding-3-small": (0.02, 0.02, 0.02, 0.0),
    "claude-sonnet-4-5": (3.00, 0.30, 3.75, 15.00),
    # Bedrock asks for a tenth more where a call stays in a region, which names of models without `global.` mean.
    "anthropic.claude-sonnet-4-5": (3.30, 0.33, 4.125, 16.50),
    "gemini-2.5-flash": (0.30, 0.03, 0.30, 2.50),
}


def main() -> int:
    """Record the frameworks that are named; 0 if all of them could be."""
    parser = argparse.ArgumentParser(description="Record what real frameworks emit.")
    parser.add_argument(
        "names", nargs="+", metavar="FRAMEWORK", choices=sorted(FRAMEWORKS), help=", ".join(sorted(FRAMEWORKS))
    )
    failed = [name for name in parser.parse_args().names if not record(name)]
    return 1 if failed else 0


def record(name: str) -> bool:
    """Whether a framework could be recorded."""
    framework = FRAMEWORKS[name]
    with tempfile.TemporaryDirectory(prefix=f"record-{name}-") as folder, listening() as (models, receiver):
        try:
            command = install(framework, Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"{name} cannot be installed: {' '.join(map(str, error.cmd))} ended with {error.returncode}")
            return False
        spans: list[dict[str, Any]] = []
        truth: list[dict[str, Any]] = []
        for scenario in framework.scenarios:
            version = f"{name}-{scenario}"
            print(f"{version} ...", flush=True)
            if not run([*command, scenario], framework, version, models.address, receiver.address, Path(folder)):
                return False
            spans += keeping.kept(receiver.take(), framework.own_texts)
            truth.append(truth_of(scenario, version, *models.take(), framework))
    write(name, {"resourceSpans": spans}, truth)
    return True


@contextlib.contextmanager
def listening() -> Iterator[tuple[ModelServer, Receiver]]:
    """Both servers."""
    servers = (ModelServer(), Receiver())
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield servers
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def install(framework: Framework, folder: Path) -> list[str]:
    """Install a framework; the command that runs its program."""
    source = PROGRAMS / framework.program
    if framework.language == "python":
        subprocess.run([framework.python, "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv" / "bin" / "python")
        quiet = ["--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
        subprocess.run([python, "-m", "pip", "install", *quiet, *framework.packages], check=True)
        shutil.copy(PROGRAMS / "telemetry.py", folder)
        shutil.copy(source, folder)
        return [python, str(folder / source.name)]
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if framework.language == "java":
        path = folder / "classpath"
        maven = ["mvn", "--quiet", "--batch-mode", "compile", "dependency:build-classpath"]
        subprocess.run([*maven, f"-Dmdep.outputFile={path}"], cwd=folder, check=True)
        classes = f"{folder / 'target' / 'classes'}{os.pathsep}{path.read_text('utf-8').strip()}"
        return ["java", "-classpath", classes, "Program"]
    subprocess.run(["go", "mod", "tidy"], cwd=folder, check=True)
    subprocess.run(["go", "build", "-o", "program", "."], cwd=folder, check=True)
    return [str(folder / "program")]


def run(command: Sequence[str], framework: Framework, version: str, models: str, receiver: str, folder: Path) -> bool:
    """Run one scenario."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(_NOT_PASSED_ON)},
        "HOME": str(folder),
        "MODEL_SERVER": models,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_RESOURCE_ATTRIBUTES": f"logged_model.id={version},logged_model.name={version}",
        "OTEL_SERVICE_NAME": version.rpartition("-")[0],
        **framework.environment,
    }
    done = subprocess.run(
        command, env=environment, cwd=folder, timeout=_SECONDS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"it ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return not done.returncode


def truth_of(scenario: str, version: str, calls: Sequence[Call], failures: int, framework: Framework) -> dict[str, Any]:
    """What the model server counted in a scenario."""
    missing = framework.not_in_telemetry.get(scenario, ())
    return {
        "scenario": scenario,
        "version": version,
        "truth": {
            "runs": framework.runs.get(scenario, 1),
            "errors": 1 if failures or "fail" in scenario else 0,
            "tin": sum(call.tokens_in for call in calls),
            "tout": sum(call.tokens_out for call in calls),
            "cached": sum(call.cached for call in calls),
            "written": sum(call.written for call in calls),
            "cost": round(sum(map(cost_of, calls)), 10),
        },
        "not_in_telemetry": len(missing),
        "missing": list(missing),
    }


def cost_of(call: Call) -> float:
    """US dollars, by the list."""
    name = call.model.rpartition("/")[2].removeprefix("us.")
    prices = next(prices for beginning, prices in _PRICES.items() if name.startswith(beginning))
    full, cached, written, out = prices
    whole = call.tokens_in - call.cached - call.written
    return (whole * full + call.cached * cached + call.written * written + call.tokens_out * out) / 1e6


def write(name: str, spans: dict[str, Any], truth: list[dict[str, Any]]) -> None:
    """Write both files, and say what has changed."""
    RECORDED.mkdir(parents=True, exist_ok=True)
    path = RECORDED / f"{name}.json"
    if path.exists():
        before = json.loads(path.read_text("utf-8"))
        changes = keeping.difference(before["resourceSpans"], spans["resourceSpans"])
        print("\n".join(changes) if changes else f"{name}: as it was recorded before")
    path.write_text(json.dumps(spans, ensure_ascii=False, indent=1) + "\n", "utf-8")
    path.with_suffix(".truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    count = sum(len(scope["spans"]) for one in spans["resourceSpans"] for scope in one["scopeSpans"])
    print(f"{name}: {count} spans in {path.name}")


if __name__ == "__main__":
    sys.exit(main())
