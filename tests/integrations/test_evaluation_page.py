# SPDX-License-Identifier: Apache-2.0
"""The page on evaluations without a backend: any receiver of OTLP gets the results. The rest is in tests/backend/."""

import subprocess
import sys

from integrations.servers import telemetry_to
from integrations.situations import Page, run_in_shell
from otlp_receiver import OtlpReceiver


def test_evaluation(tmp_path) -> None:
    page = Page("evaluation")
    page.write_to(tmp_path, ["app.py", "quality.py", "run.py"])
    with OtlpReceiver() as receiver:
        environment = telemetry_to(receiver.endpoint, XDG_STATE_HOME=str(tmp_path))
        run_in_shell(page.console[0], tmp_path, environment)
        subprocess.run([sys.executable, "run.py"], cwd=tmp_path, env=environment, check=True, timeout=60)
        results = [span for span in receiver.spans() if span.name == "gen_ai.evaluation.result"]
    assert [span.attributes["gen_ai.evaluation.score.value"] for span in results].count(1.0) == 5
    assert len(results) == 6
    # Those that need the backend are run in tests/backend/: judged.py, later.py, feedback.py.
