# SPDX-License-Identifier: Apache-2.0
"""The backend takes what the Collector sends it: in each compression that both have, and with texts that are none."""

from collections.abc import Iterator

import pytest

from asking import PROTOBUF, ask
from backend.serving import Serving
from effort import some
from waiting import wait_until

from . import otlp
from .conftest import RunCollector
from .otlp import Span


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("backend")
    with Serving(folder / "log", "--data", folder / "data") as started:
        yield started


@pytest.mark.parametrize("compression", some(["zstd", "gzip", "zlib"]))
def test_each_compression(run_collector: RunCollector, backend: Serving, compression: str) -> None:
    settings = {"OTLP": "otlp_http", "OTLP_ENDPOINT": backend.http}
    override = f"yaml:exporters::otlp_http::compression: {compression}"
    version = f"m-{compression}"
    with run_collector(settings, overrides=(override,)) as collector:
        sent = [Span(f"span {number}", attributes={"text": "é" * 1000}) for number in range(100)]
        collector.send(sent, {"service.name": "shop", "logged_model.id": version})
        wait_until(lambda: len(backend.trace_ids(version)) == len(sent), "all to arrive")
    assert set(backend.trace_ids(version)) == {span.trace_id for span in sent}
    [stored] = backend.get(f"/api/v1/traces/{sent[0].trace_id}")["spans"]
    assert stored["attributes"]["text"] == "é" * 1000


def test_a_text_that_is_not_utf8(run_collector: RunCollector, backend: Serving) -> None:
    """The Collector passes it on as it came, and takes a 400 for final."""
    sound, odd = Span("sound"), Span("odd", attributes={"text": "TEXT"})
    with run_collector({"OTLP": "otlp_http", "OTLP_ENDPOINT": backend.http}) as collector:
        body = otlp.in_protobuf([sound, odd], {"logged_model.id": "m-odd"}).replace(b"TEXT", b"c\xc3zt")
        answer = ask(collector.url, "POST", "/v1/traces", body, {"content-type": PROTOBUF})
        assert answer.status == 200
        wait_until(lambda: len(backend.trace_ids("m-odd")) == 2, "both to arrive")
    [stored] = backend.get(f"/api/v1/traces/{odd.trace_id}")["spans"]
    assert stored["attributes"]["text"] == "c\ufffdzt"
