# SPDX-License-Identifier: Apache-2.0
"""Imports into a running backend, which gets OTLP as from any sender."""

import json
import time
from pathlib import Path

from backend.serving import Serving, command
from effort import only_in_full

from .jaeger_stand_in import Jaeger, trace


@only_in_full
def test_files_and_traces_of_jaeger_go_to_a_backend_that_runs(tmp_path: Path, recorded: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        done = command("import", "otlp", recorded / "lengths.pb", "--json", store=serving.http, **state)
        (told,) = json.loads(done.stdout)["files"]
        assert (told["spans"], told["log_records"], told["refused"]) == (2, 1, 0)
        assert json.loads(command("traces", "--json", store=serving.http).stdout)["traces"][0]["scores"] == {
            "helpful": 0.5
        }
        # What was done is remembered for this backend, and done again where that is asked for.
        done = command("import", "otlp", recorded / "lengths.pb", store=serving.http, **state)
        assert "0 spans imported, 3 were imported before" in done.stdout
        start_us = int(time.time() * 1e6) - 3_600_000_000
        with Jaeger([trace(1, start_us, spans=3, version="of-jaeger")]) as jaeger:
            done = command("import", "jaeger", jaeger.uri, store=serving.http, **state)
        assert (done.returncode, done.stdout) == (0, f"{jaeger.uri}, shop: 1 trace, 3 spans imported\n")
        assert len(serving.trace_ids("of-jaeger")) == 1
    done = command("import", "otlp", recorded / "lines.jsonl", store=serving.http, **state)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
