# SPDX-License-Identifier: Apache-2.0
"""The small examples do what they say."""

import re
import zlib

from otlp_receiver import OtlpReceiver

from .running import EXAMPLES, run


def test_the_quickstart_links_its_trace_to_its_version(receiver: OtlpReceiver) -> None:
    outcome = run(EXAMPLES / "quickstart.py", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    spans = {span.name: span for span in receiver.spans()}
    assert set(spans) == {"logged_model.created", "logged_model.activated", "answer", "retrieve", "generate"}
    root, entry = spans["logged_model.created"], spans["answer"]
    model_id = root.attributes["logged_model.id"]
    assert entry.links == ((root.trace_id, root.span_id, {"logged_model.id": model_id}),)
    assert entry.attributes == {"logged_model.id": model_id, "logged_model.name": "my-agent-v1.0"}
    for name in ("retrieve", "generate"):
        assert (spans[name].attributes, spans[name].links) == ({"logged_model.id": model_id}, ())
    assert f"trace {entry.trace_id} is of my-agent-v1.0, {model_id}" in outcome.stdout
    assert f"own trace is {root.trace_id}" in outcome.stdout


def test_ab_routing_gives_each_request_its_version() -> None:
    outcome = run(EXAMPLES / "ab_routing.py")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    lines = [
        re.fullmatch(r"request of (user-\d) +(current|candidate) +(m-[0-9a-f]{32})", line)
        for line in outcome.stdout.splitlines()
    ]
    served = {match[1]: (match[2], match[3]) for match in lines if match}
    assert set(served) == {f"user-{number}" for number in range(10)}
    candidates = {user for user, (which, _) in served.items() if which == "candidate"}
    assert candidates == {f"user-{number}" for number in range(10) if zlib.crc32(b"user-%d" % number) % 100 < 30}
    assert len({model_id for _, model_id in served.values()}) == 2
