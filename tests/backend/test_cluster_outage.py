# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse server behind the backend that goes away and comes back."""

import time
from pathlib import Path

import pytest

from asking import ask
from clickhouse_server import ClickHouseServer
from effort import only_in_full, some, times
from waiting import wait_until

from .sending import Load, Traces
from .serving import Serving

pytestmark = pytest.mark.takes(5)


@only_in_full
@pytest.mark.parametrize("kills", some([True, False]), ids=lambda kills: "killed" if kills else "stopped")
def test_no_acknowledged_span_is_lost(tmp_path: Path, kills: bool) -> None:
    with (
        ClickHouseServer(tmp_path / "cluster") as cluster,
        Serving(tmp_path / "log", "--store", f"clickhouse://127.0.0.1:{cluster.port}/spans") as serving,
        Load(serving, Traces("away", 1)) as load,
    ):
        for _ in range(times(full=2, quick=1)):
            wait_until(lambda: load.acknowledged)
            time.sleep(0.3)
            load.refusals.clear()
            (cluster.kill if kills else cluster.stop)()
            wait_until(lambda: {refusal.transport for refusal in list(load.refusals)} == {"http", "grpc"})
            ready = ask(serving.http, "GET", "/readyz")
            asked = ask(serving.http, "GET", "/api/v1/versions")
            alive = ask(serving.http, "GET", "/healthz")
            acknowledged = set(load.acknowledged)
            cluster.start()
            assert (ready.status, "retry-after" in ready.headers) == (503, True)
            assert (asked.status, "retry-after" in asked.headers) == (503, True)
            assert alive.status == 200
            assert_clients_may_try_again(load)
            wait_until(lambda known=acknowledged: len(load.acknowledged) > len(known))
            assert acknowledged <= set(serving.trace_ids("away"))
        load.finish()
        assert sorted(serving.trace_ids("away")) == sorted(load.sent)
        assert ask(serving.http, "GET", "/readyz").status == 200


def assert_clients_may_try_again(load: Load) -> None:
    refusals = set(load.refusals)
    assert {(refusal.transport, refusal.status) for refusal in refusals} == {("http", 503), ("grpc", "UNAVAILABLE")}
    assert all(refusal.retry_seconds for refusal in refusals)
