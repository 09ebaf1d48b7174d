# SPDX-License-Identifier: Apache-2.0
"""A client that sends as much as a server takes, or so much a second, and tries again where it is told to.

It does what exporters do, with several connections and without making the spans: what is measured is the server.
"""

import http.client
import itertools
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc  # type: ignore[import-untyped,unused-ignore]

from benchmarks.backends import Target
from benchmarks.payloads import SPANS, LogPayloads, Payloads

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRYABLE_STATUS = {429, 502, 503, 504}
_RETRYABLE_CODES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
# Where the server does not say.
_RETRY_SECONDS = 0.25
_TIMEOUT_SECONDS = 120.0


@dataclass
class Load:
    """What became of what was sent.

    Attributes:
        seconds: The time from the first request to the last answer.
        milliseconds: How long it took to acknowledge each request, from the moment when it was due.
        retries: How often the server asked to be asked again.
        failures: What it said to requests that it refused for good.
        client_cpu_seconds: CPU time of this client.
    """

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    retries: int = 0
    failures: list[str] = field(default_factory=list)
    client_cpu_seconds: float = 0.0

    @property
    def spans(self) -> int:
        """How many were acknowledged."""
        return SPANS * len(self.milliseconds)

    def milliseconds_at(self, level: float) -> float:
        """A quantile of how long requests took."""
        ordered = sorted(self.milliseconds)
        return ordered[int(level * (len(ordered) - 1))]

    @property
    def spans_per_second(self) -> float:
        """The throughput."""
        return self.spans / self.seconds


class RefusedError(Exception):
    """A server does not take a request."""


Sender = Callable[[bytes], float | None]
"""Sends a request: None where it was acknowledged, else after how many seconds to send it again."""


@dataclass(frozen=True)
class Step:
    """How to load a server.

    Attributes:
        seconds: For how long new requests are sent.
        part: Which part of the throughput of the step before; None for as much as the server takes.
    """

    seconds: float
    part: float | None = None


_WARM_UP = Step(seconds=1.0)


def send(target: Target, spans_per_trace: int, steps: Sequence[Step]) -> list[Load]:
    """Load a server, step by step; before the first it is warmed up, which comes first in what is returned.

    Without spans in a trace, log records are sent.
    """
    payloads = Payloads(spans_per_trace) if spans_per_trace else LogPayloads()
    numbers = itertools.count()
    # One connection each for all of it: a server with several processes has its connections where it is warm.
    senders = [_SENDERS[target.protocol](target) for _ in range(target.connections)]
    found: list[Load] = []
    for step in (_WARM_UP, *steps):
        rate = None if step.part is None else step.part * found[-1].spans_per_second
        found.append(_loaded(senders, payloads, numbers, step.seconds, rate))
    return found


def _loaded(
    senders: Sequence[Sender],
    payloads: Payloads | LogPayloads,
    numbers: "itertools.count[int]",
    seconds: float,
    rate: float | None,
) -> Load:
    load = Load()
    lock = threading.Lock()
    places = itertools.count()
    used = time.process_time()
    began = time.perf_counter()

    def work(sender: Sender) -> None:
        while True:
            with lock:
                place, number = next(places), next(numbers)
            # Where all connections are busy when a request is due, it waits, and that counts.
            due = time.perf_counter() if rate is None else began + place * SPANS / rate
            if due >= began + seconds:
                return
            payload = payloads[number]
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                while (pause := sender(payload)) is not None:
                    with lock:
                        load.retries += 1
                    time.sleep(pause)
            except RefusedError as error:
                with lock:
                    load.failures.append(str(error))
                time.sleep(_RETRY_SECONDS)
            else:
                with lock:
                    load.milliseconds.append(1000 * (time.perf_counter() - due))

    threads = [threading.Thread(target=work, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - began
    load.client_cpu_seconds = time.process_time() - used
    if not load.milliseconds:
        raise RuntimeError(f"nothing was acknowledged in {load.seconds:.0f} s: {load.failures[:1]}")
    return load


def _http_sender(target: Target) -> Sender:
    parts = urllib.parse.urlsplit(target.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/x-protobuf", **target.headers}

    def post(payload: bytes) -> float | None:
        try:
            connection.request("POST", parts.path, payload, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise RefusedError(repr(error)) from error
        if response.status == 200:
            return None
        if response.status in _RETRYABLE_STATUS:
            return float(response.headers.get("Retry-After") or _RETRY_SECONDS)
        raise RefusedError(f"{response.status}: {body[:200]!r}")

    return post


def _grpc_sender(target: Target) -> Sender:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    channel = grpc.insecure_channel(target.address, options=options)
    export = channel.unary_unary(_EXPORT)
    metadata = tuple(target.headers.items())

    def call(payload: bytes) -> float | None:
        try:
            export(payload, timeout=_TIMEOUT_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            if error.code() in _RETRYABLE_CODES:
                return _RETRY_SECONDS
            raise RefusedError(f"{error.code()}: {error.details()}") from error
        return None

    return call


_SENDERS: Mapping[str, Callable[[Target], Sender]] = {"http": _http_sender, "grpc": _grpc_sender}
