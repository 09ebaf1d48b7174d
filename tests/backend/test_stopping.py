# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT under load: what was acknowledged is stored, and the backend ends cleanly and soon."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asking import held_spans, is_stopping
from clickhouse_server import ClickHouseServer
from effort import only_in_full, some, times
from waiting import wait_until

from .sending import Load, Traces
from .serving import Serving

pytestmark = pytest.mark.takes(6)


@only_in_full
@pytest.mark.parametrize("number", some([signal.SIGTERM, signal.SIGINT]))
def test_a_signal_under_load(tmp_path: Path, number: int) -> None:
    moments = random.Random(number)
    with (
        Serving(tmp_path / "log", "--data", tmp_path / "data") as serving,
        Load(serving, Traces("stopped", number)) as load,
    ):
        for _ in range(times(full=2, quick=1)):
            time.sleep(moments.uniform(0.2, 0.8))
            serving.stop(number)
            acknowledged = set(load.acknowledged)
            serving.start()
            assert acknowledged <= set(serving.trace_ids("stopped"))
        load.finish()
        assert sorted(serving.trace_ids("stopped")) == sorted(load.sent)
        assert serving.log == ""


@only_in_full
def test_what_was_accepted_is_answered_before_it_ends(tmp_path: Path) -> None:
    traces = Traces("in flight", 1)
    requests = [traces.request(2000) for _ in range(6)]
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving, ThreadPoolExecutor(6) as clients:
        answers = [clients.submit(serving.post, body) for _, body in requests]
        wait_until(
            lambda: held_spans(serving.http) or any(answer.done() for answer in answers), "a request to be accepted"
        )
        serving.stop()
        statuses = [None if answer.exception() else answer.result().status for answer in answers]
        serving.start()
        stored = set(serving.trace_ids("in flight"))
    assert set(statuses) <= {200, 503, None}
    assert 200 in statuses
    assert stored == {one for (ids, _), status in zip(requests, statuses, strict=True) if status == 200 for one in ids}


@only_in_full
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """For where the first cannot: the cluster does not answer, and an insert is waited for."""
    with (
        ClickHouseServer(tmp_path / "cluster") as cluster,
        Serving(tmp_path / "log", "--store", f"clickhouse://127.0.0.1:{cluster.port}/spans") as serving,
        Load(serving, Traces("twice", 1)) as load,
    ):
        wait_until(lambda: load.acknowledged, "a request to be acknowledged")
        os.kill(cluster.pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)
            serving.send_signal(signal.SIGTERM)
            wait_until(lambda: is_stopping(serving.http), "the first signal to be heard")
            assert serving.process is not None
            assert serving.process.poll() is None
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(10) == 1
        finally:
            os.kill(cluster.pid, signal.SIGCONT)
        acknowledged = set(load.acknowledged)
        serving.start()
        assert acknowledged <= set(serving.trace_ids("twice"))
        load.finish()
        assert sorted(serving.trace_ids("twice")) == sorted(load.sent)
