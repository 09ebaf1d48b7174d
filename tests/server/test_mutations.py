# SPDX-License-Identifier: Apache-2.0
"""Requests that are mutated for some time, against the whole backend: none is its failure, none takes it down.

The time is OTEL_LOGGEDMODEL_FUZZ_SECONDS; where that is not set, a minute in .ci/run and a few seconds elsewhere. A
failure shows the number that the mutations were drawn with, OTEL_LOGGEDMODEL_FUZZ_SEED, and the request.
"""

import gzip
import os
import random
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from asking import ask
from backend.sending import call
from backend.serving import Serving
from effort import times
from log_requests import in_json, odd_requests

from .mutating import corpus, mutated, mutated_json

SECONDS = float(os.environ.get("OTEL_LOGGEDMODEL_FUZZ_SECONDS") or times(full=60, quick=2)) / 6
SEED = int(os.environ.get("OTEL_LOGGEDMODEL_FUZZ_SEED") or time.time_ns())
PROTOBUF, JSON = "application/x-protobuf", "application/json"
ANSWERS = {200, 400, 413}
CODES = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
MORE_MIB = 300
LOG_REQUESTS = [made.SerializeToString() for made in odd_requests()]
LOG_REQUESTS_IN_JSON = [in_json(made) for made in odd_requests()]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With a real store: what is accepted can be stored, or the answer would be another."""
    directory = tmp_path_factory.mktemp("mutations")
    with Serving(directory / "log", "--data", directory / "data", "--logs", "all") as started:
        assert started.post(corpus("complete.bin")[0]).status == 200
        before = started.rss_mib
        yield started
        assert started.rss_mib < before + MORE_MIB
        assert "Traceback" not in started.log


def over_protobuf(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    body = mutated(rng, corpus(".bin"))
    return body, serving.post(body, PROTOBUF).status


def over_json(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    body = mutated_json(rng, corpus(".json"))
    return body, serving.post(body, JSON).status


def compressed(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    encoding, compress = rng.choice((("gzip", gzip.compress), ("deflate", zlib.compress)))
    body = compress(mutated(rng, corpus(".bin")))
    if rng.random() < 0.5:
        body = mutated(rng, [body])
    return body, serving.post(body, PROTOBUF, content_encoding=encoding).status


def over_grpc(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    body = mutated(rng, corpus(".bin"))
    try:
        call(serving.grpc, body)
    except grpc.RpcError as error:
        return body, error.code()
    return body, grpc.StatusCode.OK


def log_records(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    body = mutated(rng, LOG_REQUESTS)
    return body, ask(serving.http, "POST", "/v1/logs", body, {"content-type": PROTOBUF}).status


def log_records_in_json(serving: Serving, rng: random.Random) -> tuple[bytes, object]:
    body = mutated_json(rng, LOG_REQUESTS_IN_JSON)
    return body, ask(serving.http, "POST", "/v1/logs", body, {"content-type": JSON}).status


@pytest.mark.parametrize("send", [over_protobuf, over_json, compressed, over_grpc, log_records, log_records_in_json])
def test_mutated_requests(serving: Serving, send: Callable[[Serving, random.Random], tuple[bytes, object]]) -> None:
    rng = random.Random(SEED)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        body, answer = send(serving, rng)
        assert answer in ANSWERS | CODES, f"OTEL_LOGGEDMODEL_FUZZ_SEED={SEED}: {body!r}"
    assert serving.post(corpus("complete.bin")[0]).status == 200


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("corpus/*.*")), ids=lambda path: path.name)
def test_the_requests_to_begin_with(serving: Serving, path: Path) -> None:
    content_type = JSON if path.suffix == ".json" else PROTOBUF
    if path.suffix != ".md":
        assert serving.post(path.read_bytes(), content_type).status in ANSWERS
