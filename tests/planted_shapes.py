# SPDX-License-Identifier: Apache-2.0
"""The shapes that traces of the synthetic data set have: how applications, frameworks and services are put together."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from planted_traces import (
    AGENT_KINDS,
    LOCAL_PARENT,
    REMOTE_PARENT,
    SERVER,
    TENANT,
    WORKER,
    Call,
    Request,
    Resource,
    Trace,
    Work,
    usage,
)


def _root(trace: Trace, request: Request) -> Span:
    """The entry span of a request that comes alone: the root, or the child of a caller's that is not stored."""
    came_from = trace.rng.randbytes(8) if trace.one_of(4) == 0 else b""
    by_collector = trace.one_of(10) == 0
    return trace.entry(
        request.stamp,
        trace.start_ns,
        request.draw.duration_ns,
        parent=came_from,
        error=request.draw.error,
        flags=REMOTE_PARENT if came_from else LOCAL_PARENT,
        # What has no parent begins here, whether it says a name or not.
        named=not by_collector or bool(came_from),
        linked=not by_collector or request.stamp.name is None,
    )


def _plain(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    trace.step("retrieve", entry, {"openinference.span.kind": "RETRIEVER"}, request.stamp)
    # On another machine, whose clock is behind.
    late = -request.draw.duration_ns // 5 if trace.one_of(4) == 0 else 0
    call = trace.model_call(request.stamp, entry, request.call, late=late)
    trace.evaluate(request.stamp, (entry, call)[trace.one_of(2)], request.draw.scores)


def _two_calls(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    for call in request.calls:
        trace.model_call(request.stamp, entry, call)
    trace.model_call(None, entry, Call(700, 70, 0.7))  # of nobody's
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _agent(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    agent = trace.agent(request.stamp, entry, request.call)
    chain = trace.step("chain", agent, {"openinference.span.kind": "CHAIN"}, request.stamp)
    tool = trace.step("tool", chain, {"gen_ai.operation.name": "execute_tool"}, request.stamp)
    for call in request.calls:
        trace.model_call(request.stamp, tool, call)
    trace.evaluate(request.stamp, agent, request.draw.scores)


def _agents(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    outer = trace.agent(request.stamp, entry, request.call)
    first, second = request.calls
    trace.model_call(request.stamp, outer, first)
    between = trace.step("delegate", outer, {"traceloop.span.kind": "task"}, request.stamp)
    inner = trace.agent(request.stamp, between, second)
    trace.model_call(request.stamp, inner, second)
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _wrapped(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    wrapper = trace.model_call(request.stamp, entry, request.call, counts=False)
    trace.model_call(request.stamp, wrapper, request.call)
    trace.evaluate(request.stamp, wrapper, request.draw.scores)


def _agent_alone(trace: Trace, request: Request) -> None:
    """The framework's own spans only: the agent's total is all there is."""
    entry = _root(trace, request)
    trace.agent(request.stamp, entry, request.call)
    trace.recorder.work.append(Work(trace.trace_id.hex(), request.stamp.model_id, request.call))
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _agent_at_entry(trace: Trace, request: Request) -> None:
    total = usage(request.call, trace.one_of(4), trace.one_of(3))
    entry = trace.entry(
        request.stamp,
        trace.start_ns,
        request.draw.duration_ns,
        error=request.draw.error,
        attributes={**AGENT_KINDS[trace.one_of(3)], **total},
    )
    for call in request.calls:
        trace.model_call(request.stamp, entry, call)
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _cost_at_agent(trace: Trace, request: Request) -> None:
    """Only the agent knows what it cost."""
    entry = _root(trace, request)
    agent = trace.agent(request.stamp, entry, request.call)
    for call in request.calls:
        trace.model_call(request.stamp, agent, call, says_cost=False)
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _cached(trace: Trace, request: Request) -> None:
    entry = _root(trace, request)
    trace.step("look up", entry, {}, request.stamp)
    trace.evaluate(request.stamp, entry, request.draw.scores)


def _nested_scope(trace: Trace, request: Request) -> None:
    """The process's version, and within it a scope of the same."""
    outer = _root(trace, request)
    inner = _entry_within(trace, request, outer, trace.resource)
    trace.model_call(request.stamp, inner, request.call)
    trace.evaluate(request.stamp, inner, request.draw.scores)


def _nested_services(trace: Trace, request: Request) -> None:
    """Two services of one version, the second with a scope of its own."""
    outer = _root(trace, request)
    inner = _entry_within(trace, request, outer, Resource(WORKER, trace.resource.environment))
    innermost = _entry_within(trace, request, inner, Resource(WORKER, trace.resource.environment))
    trace.model_call(request.stamp, innermost, request.call)
    trace.evaluate(request.stamp, outer, request.draw.scores)


def _entry_within(trace: Trace, request: Request, outer: Span, resource: Resource) -> Span:
    remote = resource != trace.resource
    caller = trace.step("POST", outer, {}, request.stamp)
    start = caller.start_time_unix_nano + 1000
    return trace.entry(
        request.stamp,
        start,
        caller.end_time_unix_nano - 1000 - start,
        parent=caller.span_id,
        error=trace.one_of(7) == 0,
        resource=resource,
        flags=REMOTE_PARENT if remote else LOCAL_PARENT,
    )


def beside(trace: Trace, requests: Sequence[Request]) -> None:
    """Two requests that a caller without a version makes at once, the shorter within the time of the longer."""
    long, short = sorted(requests, key=lambda request: request.draw.duration_ns, reverse=True)
    start = trace.start_ns + (long.draw.duration_ns - short.draw.duration_ns) // 2
    gateway = _gateway(trace, long.draw.duration_ns)
    _under_gateway(trace, gateway, long, trace.start_ns)
    _under_gateway(trace, gateway, short, start)


def again(trace: Trace, requests: Sequence[Request]) -> None:
    """Two requests that a caller without a version makes one after the other."""
    first, second = requests
    gateway = _gateway(trace, first.draw.duration_ns + second.draw.duration_ns)
    _under_gateway(trace, gateway, first, trace.start_ns)
    _under_gateway(trace, gateway, second, trace.start_ns + first.draw.duration_ns)


def _gateway(trace: Trace, duration_ns: int) -> Span:
    return trace.span(
        "gateway",
        b"",
        trace.start_ns,
        trace.start_ns + duration_ns,
        {"gen_ai.operation.name": "invoke_workflow"},
        kind=SERVER,
        resource=Resource("gateway", trace.resource.environment),
    )


def _under_gateway(trace: Trace, gateway: Span, request: Request, start_ns: int) -> None:
    entry = trace.entry(
        request.stamp,
        start_ns,
        request.draw.duration_ns,
        parent=gateway.span_id,
        error=request.draw.error,
        flags=REMOTE_PARENT,
    )
    trace.model_call(request.stamp, entry, request.call)
    trace.evaluate(request.stamp, entry, request.draw.scores)


def headless(trace: Trace, request: Request) -> None:
    """A trace whose entry span was lost: the agent, the first span that is there, stands for it."""
    lost = Span(
        span_id=trace.rng.randbytes(8),
        start_time_unix_nano=trace.start_ns,
        end_time_unix_nano=trace.start_ns + request.draw.duration_ns,
    )
    agent = trace.agent(request.stamp, lost, request.call)
    trace.stands_for_entry(request.stamp, agent)
    call = trace.model_call(request.stamp, agent, request.call)
    trace.evaluate(request.stamp, call, {"helpfulness": 0.7})


def unversioned(trace: Trace) -> None:
    """Work of an application that has no version."""
    root = trace.span("answer", b"", trace.start_ns, trace.start_ns + 10**9, {TENANT: "acme"}, kind=SERVER)
    trace.model_call(None, root, Call(300, 30, 0.3))


Shape = Callable[[Trace, Request], None] | Callable[[Trace, Sequence[Request]], None]
_OF_ONE: Final = {
    _plain: 8,
    _two_calls: 5,
    _agent: 5,
    _agents: 3,
    _wrapped: 4,
    _agent_alone: 1,
    _agent_at_entry: 3,
    _cost_at_agent: 2,
    _cached: 1,
    _nested_scope: 3,
    _nested_services: 3,
}
_OF_TWO: Final = {beside: 1, again: 1}


def make_traces(requests: Iterator[Request], new_trace: Callable[[Request], Trace], rng: random.Random) -> None:
    """A trace for each request, or for two, in every shape as often as it is meant to be: in a block of each, once.

    Args:
        requests: The requests.
        new_trace: Makes the trace that a request begins.
        rng: For the order of shapes.
    """
    while True:
        of_one = [shape for shape, often in _OF_ONE.items() for _ in range(often)]
        of_two = [shape for shape, often in _OF_TWO.items() for _ in range(often)]
        for index in rng.sample(range(len(of_one) + len(of_two)), len(of_one) + len(of_two)):
            request = next(requests, None)
            if request is None:
                return
            if index < len(of_one):
                of_one[index](new_trace(request), request)
                continue
            other = next(requests, None)
            if other is None:
                _plain(new_trace(request), request)
                return
            of_two[index - len(of_one)](new_trace(request), [request, other])
