# SPDX-License-Identifier: Apache-2.0
"""An id for each request: lists stay quick enough to be used, memory stays bounded, and the user is told."""

from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asking import ask
from effort import only_in_full, times
from waiting import wait_until

from .sending import Traces
from .serving import Serving, command

IDS = times(20_000, 20_000)
AT_ONCE = 10_000
MORE_MIB = 400


def requests_with_ids(count: int, first: int) -> bytes:
    """Spans of as many versions."""
    _, body = Traces("x", first).request(count)
    request = ExportTraceServiceRequest.FromString(body)
    for number, span in enumerate(request.resource_spans[0].scope_spans[0].spans, first):
        [attribute] = [one for one in span.attributes if one.key == "logged_model.id"]
        attribute.value.string_value = f"m-{number:032x}"
    return request.SerializeToString()


@only_in_full
def test_an_id_for_each_request(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        for first in range(0, IDS, AT_ONCE):
            assert serving.post(requests_with_ids(AT_ONCE, first)).status == 200
        before = serving.rss_mib
        serving.forget_peak()
        listed = serving.get("/api/v1/versions", {"limit": 10})["versions"]
        assert [version["traces"] for version in listed] == [1] * 10
        (note,) = serving.get("/api/v1/versions", {"limit": 50})["notes"]
        assert "is a version made for each request?" in note
        assert serving.get("/api/v1/versions/m-" + "0" * 31 + "7")["version"]["traces"] == 1
        page = ask(serving.http, "GET", "/", headers={"accept": "text/html"}, timeout=120)
        assert b"is a version made for each request?" in page.body
        assert serving.peak_rss_mib < before + MORE_MIB
        said = command("models", "--store", serving.http).stderr
        assert "is a version made for each request?" in said
        # It looks for so many seconds, which a busy machine needs for the rest of what it does.
        doctor = {"OTEL_EXPORTER_OTLP_ENDPOINT": serving.http}
        wait_until(
            lambda: "is a version made for each request?" in command("doctor", **doctor).stdout, "doctor to tell"
        )
