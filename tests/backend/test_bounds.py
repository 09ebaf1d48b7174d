# SPDX-License-Identifier: Apache-2.0
"""What a request becomes is bounded: the backend grows by little, whatever it takes, and says why it takes no more."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asking import Answer
from cli.terminal import environment
from effort import only_in_full, some

from .sending import Traces
from .serving import Serving

MIB = 1024 * 1024
# What any request that is taken may add to the backend's memory.
MORE_MIB = 300
# It has to be parsed to be weighed.
REFUSED_MIB = 200


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("bounds")
    with Serving(directory / "log", "--data", directory / "data") as started:
        for seed in range(4):  # what is loaded and allocated once is no growth
            assert started.post(Traces("before", seed).request(500)[1]).status == 200
        yield started


def request(
    spans: int, *, resource: list[int] | None = None, scope: int = 0, attributes: int = 0, events: int = 0
) -> bytes:
    """A request of equal spans with ids of their own.

    Args:
        spans: How many.
        resource: The sizes of its attributes, in bytes.
        scope: The size of its name.
        attributes: On each span, each with a key of its own.
        events: On each span.
    """
    random = Random(spans)
    made = ExportTraceServiceRequest()
    resource_spans = made.resource_spans.add()
    for number, size in enumerate(resource or []):
        resource_spans.resource.attributes.add(key=f"key {number}").value.string_value = "x" * size
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "s" * scope
    now = time.time_ns()
    for _ in range(spans):
        span = scope_spans.spans.add(
            trace_id=random.randbytes(16),
            span_id=random.randbytes(8),
            name="span",
            start_time_unix_nano=now,
            end_time_unix_nano=now,
        )
        for _ in range(attributes):
            span.attributes.add(key=random.randbytes(4).hex())
        for _ in range(events):
            span.events.add(name="event")
    return made.SerializeToString()


def grown(serving: Serving, body: bytes) -> tuple[Answer, float]:
    """What the backend answers to a request, and by how many MiB it had grown at the most."""
    before = serving.rss_mib
    serving.forget_peak()
    answer = serving.post(gzip.compress(body, 1), content_encoding="gzip")
    return answer, serving.peak_rss_mib - before


TOO_LARGE = {
    "a long scope": (lambda: request(2000, scope=MIB), "its resource and scope are stored with each of its 2000 spans"),
    "many spans": (lambda: request(130_000), "at most 120000 spans"),
    "many attributes": (
        lambda: request(1000, attributes=1000),
        "1000 spans with 1000000 attributes, events and links",
    ),
    "a long resource": (
        lambda: request(1000, resource=[MIB]),
        "its resource and scope are stored with each of its 1000 spans",
    ),
    "eight long attributes of the resource": (
        lambda: request(60_000, resource=[MIB] * 8),
        "its resource and scope are stored with each of its 60000 spans",
    ),
}


@pytest.mark.parametrize("kind", some(list(TOO_LARGE)))
def test_a_request_that_would_become_too_large_is_refused_for_good(serving: Serving, kind: str) -> None:
    make, why = TOO_LARGE[kind]
    answer, more_mib = grown(serving, make())
    assert (answer.status, "retry-after" in answer.headers) == (413, False)
    assert why in Status.FromString(answer.body).message
    assert more_mib < REFUSED_MIB
    assert serving.post(Traces("after", len(answer.body)).request(5)[1]).status == 200


LARGEST = {
    "many spans": lambda: request(119_000),
    "many events": lambda: request(80, events=9999),
    "a long resource": lambda: request(240, resource=[MIB]),
    "many attributes": lambda: request(760, attributes=1000),
}


@pytest.mark.parametrize("kind", some(list(LARGEST), quick=2))
def test_the_largest_requests_that_are_taken_take_little_memory(serving: Serving, kind: str) -> None:
    answer, more_mib = grown(serving, LARGEST[kind]())
    assert answer.status == 200
    assert more_mib < MORE_MIB


def starved(directory: Path, memory: int, *bodies: bytes) -> dict[str, Any]:
    """What becomes of requests that are one batch, where inserts have so much memory."""
    files = []
    for place, body in enumerate(bodies):
        files.append(directory / f"request {place}")
        files[-1].write_bytes(body)
    done = subprocess.run(
        [sys.executable, "-m", "backend.starved_store", directory / "data", str(memory), *files],
        env=environment(PYTHONPATH=str(Path(__file__).parents[1])),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@only_in_full
def test_an_insert_that_needs_too_much_memory_is_halved(tmp_path: Path) -> None:
    """The engine refuses the batch, and one of its requests whatever that comes with; the others are stored."""
    small = [Traces("small", seed).request(20)[1] for seed in range(3)]
    bodies = [small[0], request(1000, resource=[MIB // 4]), *small[1:]]
    assert starved(tmp_path, 200 * MIB, *bodies) == {
        "outcomes": [[200, None], [413, None], [200, None], [200, None]],
        "stored": 60,
        "trouble": None,
    }


@only_in_full
def test_little_that_finds_no_memory_may_come_again(tmp_path: Path) -> None:
    found = starved(tmp_path, 1, Traces("small", 1).request(5)[1])
    assert (found["outcomes"], found["stored"]) == ([[503, 2]], 0)
