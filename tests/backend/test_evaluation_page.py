# SPDX-License-Identifier: Apache-2.0
"""The page on evaluations, as printed: its programs and its commands, one after the other, against a real backend."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.terminal import environment
from effort import only_in_full
from waiting import wait_until

from .serving import Serving

pytestmark = pytest.mark.takes(8)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@only_in_full
def test_the_page_works_as_printed(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as backend:
        variables = environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.http,
            OTEL_LOGGEDMODEL_STORE=backend.http,
            XDG_STATE_HOME=str(tmp_path / "state"),
        )
        variables["PATH"] = f"{Path(sys.executable).parent}:{variables.get('PATH', '')}"

        def run(*command: str) -> str:
            done = subprocess.run(
                command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        for name, text in FILES.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        write_questions, build, again, kept, tested = COMMANDS
        run("bash", "-ec", write_questions)
        said = run(sys.executable, "run.py")
        assert "'normalized_match/mean': 0.6666666666666666, 'short/mean': 1.0" in said
        trace_id = said.split()[-1]
        wait_until(lambda: len(backend.trace_ids("capitals")) == 3)
        table = run("bash", "-ec", build)
        assert "3 rows of questions, 0 failed" in table
        wait_until(lambda: len(backend.trace_ids("capitals")) == 3)
        assert "'helpful/mean': 4.0" in run(sys.executable, "judged.py")
        assert "'answered/mean': 1.0" in run(sys.executable, "later.py")
        assert run(sys.executable, "talks.py") == "{'remembers/mean': 1.0}\n"
        run(sys.executable, "feedback.py", trace_id)
        listed = run("bash", "-ec", again)
        assert "an evaluation run" in listed
        assert "normalized_match/mean" in listed
        assert "capitals" in run("bash", "-ec", kept)
        questions = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text().splitlines()]
        assert [json.loads(line)["inputs"] for line in (tmp_path / "capitals.jsonl").read_text().splitlines()] == [
            question["inputs"] for question in questions
        ]
        assert FILES["test_capitals.py"]
        assert "run nightly" in run("bash", "-ec", tested)
        (tmp_path / "questions.jsonl").unlink()
        wait_until(lambda: "helpful" in run("otel-loggedmodel", "traces", "--json", "--limit", "100"))
