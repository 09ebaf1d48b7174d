# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged survives `kill -9`, and what was sent again counts once."""

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from effort import only_in_full, times
from waiting import wait_until

from .sending import Load, Traces
from .serving import Serving

ROUNDS = times(full=5, quick=2)


@pytest.mark.takes(15)
@pytest.mark.parametrize("seed", range(times(full=4, quick=1)))
def test_no_acknowledged_span_is_lost(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    with (
        Serving(tmp_path / "log", "--data", tmp_path / "data") as serving,
        Load(serving, Traces("killed", seed)) as load,
    ):
        for kill in range(ROUNDS):
            known, refused = len(load.acknowledged), len(load.refusals)
            wait_until(lambda known=known: len(load.acknowledged) > known, "a request to be acknowledged")
            time.sleep(moments.uniform(0.05, 1.0))
            if kill == ROUNDS - 1:  # while it starts
                serving.kill()
                serving.launch()
                time.sleep(moments.uniform(0.1, 1.0))
            serving.kill()
            wait_until(lambda refused=refused: len(load.refusals) > refused, "a client to notice")
            acknowledged = set(load.acknowledged)
            serving.start()
            assert acknowledged <= set(serving.trace_ids("killed")), f"after kill {kill + 1}"
        load.finish()
        assert any(refusal.status == "lost" for refusal in load.refusals)
        assert sorted(serving.trace_ids("killed")) == sorted(load.sent)
        [version] = serving.get("/api/v1/compare", {"version": "killed"})["versions"]
        assert (version["traces"], version["tokens"]["input"]) == (len(load.sent), len(load.sent))
        [listed] = serving.get("/api/v1/versions")["versions"]
        assert (listed["model_id"], listed["traces"]) == ("killed", len(load.sent))


@only_in_full
def test_nothing_that_was_sent_is_left_lying_about(tmp_path: Path) -> None:
    """What is on its way into the store when the backend dies is not for others to find, nor does it fill the disk."""
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    temporary.mkdir()

    def on_its_way() -> list[Path]:
        return [file for file in (*temporary.rglob("*"), *data.glob("otel-loggedmodel*/*")) if holds(file, b"a secret")]

    _, body = Traces("private", 1).request(10_000, attributes={"gen_ai.input.messages": "a secret" * 50})
    with (
        Serving(tmp_path / "log", "--data", data, TMPDIR=str(temporary)) as serving,
        ThreadPoolExecutor(1) as client,
    ):
        sent = client.submit(serving.post, body)
        wait_until(on_its_way)
        serving.kill()
        assert sent.exception() is not None
        serving.start()
        assert on_its_way() == []
        assert list(temporary.iterdir()) == []


def holds(file: Path, text: bytes) -> bool:
    with contextlib.suppress(OSError):  # gone meanwhile
        return text in file.read_bytes()
    return False
