# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged survives `kill -9`, and what was sent again counts once."""

import random
import time
from pathlib import Path

import pytest

from .sending import Load, Traces
from .serving import Serving

ROUNDS = 5


@pytest.mark.parametrize("seed", range(4))
def test_no_acknowledged_span_is_lost(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    with (
        Serving(tmp_path / "log", "--data", tmp_path / "data") as serving,
        Load(serving, Traces("killed", seed)) as load,
    ):
        for kill in range(ROUNDS):
            time.sleep(moments.uniform(0.05, 1.0))
            if kill == ROUNDS - 1:  # while it starts
                serving.kill()
                serving.launch()
                time.sleep(moments.uniform(0.1, 1.0))
            serving.kill()
            acknowledged = set(load.acknowledged)
            serving.start()
            assert acknowledged <= set(serving.trace_ids("killed")), f"after kill {kill + 1}"
        load.finish()
        assert len(load.sent) > 20 * ROUNDS
        assert any(refusal.status == "lost" for refusal in load.refusals)
        assert sorted(serving.trace_ids("killed")) == sorted(load.sent)
        [version] = serving.get("/api/v1/compare", {"version": "killed"})["versions"]
        assert (version["traces"], version["tokens"]["input"]) == (len(load.sent), len(load.sent))
        [listed] = serving.get("/api/v1/versions")["versions"]
        assert (listed["model_id"], listed["traces"]) == ("killed", len(load.sent))
