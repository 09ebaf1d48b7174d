# SPDX-License-Identifier: Apache-2.0
"""A version goes out with requests where that was asked for, to hosts that may know; and only an id comes in."""

import contextlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import otel_loggedmodel
from otel_loggedmodel import LoggedModelPropagator, propagation, use_model
from otel_loggedmodel.instrumentor import LoggedModelInstrumentor
from otel_loggedmodel.versions import identity

AGENT = identity.reference_to("0", "agent")
OTHER = identity.reference_to("0", "other")
STANDARD = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


@pytest.fixture(autouse=True)
def standard_propagator(new_process):
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(STANDARD)
    yield
    propagate.set_global_textmap(before)


def sent(carrier: dict[str, str] | None = None) -> str | None:
    """The baggage header of a request that is made now."""
    headers: dict[str, str] = carrier if carrier is not None else {}
    propagate.inject(headers)
    return headers.get("baggage")


def received(header: str) -> Context:
    return propagate.extract({"baggage": header})


@contextlib.contextmanager
def inside(there: Context):
    """Where a server handles a request: its Context is current."""
    token = context.attach(there)
    try:
        yield
    finally:
        context.detach(token)


def calling(**attributes: str):
    """Inside the span of a client that calls a host."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("client").start_span("GET", kind=SpanKind.CLIENT)
    span.set_attributes({name.replace("_", ".", 1): value for name, value in attributes.items()})
    return use_span(span)


# Out


def test_nothing_goes_out_unasked() -> None:
    otel_loggedmodel.set_active_model("agent")
    with use_model(name="agent"):
        assert sent() is None
    assert propagate.get_global_textmap() is STANDARD


def test_a_scope_that_propagates_sends_the_id_alone() -> None:
    model = otel_loggedmodel.create_external_model("agent", params={"secret": "s"}, tags={"t": "u"})
    with use_model(model, propagate=True):
        assert sent() == f"logged_model.id={model.model_id}"
    assert sent() is None


def test_other_baggage_stays_as_it_is() -> None:
    with inside(baggage.set_baggage("user", "ann b")):
        with use_model(name="agent", propagate=True):
            assert sent() == f"user=ann+b,logged_model.id={AGENT}"
            assert dict(baggage.get_all()) == {"user": "ann b"}
        assert sent() == "user=ann+b"


def test_a_scope_inside_sends_its_own_version_or_keeps_it() -> None:
    with use_model(name="agent", propagate=True):
        with use_model(name="other"):
            assert sent() == f"logged_model.id={OTHER}"
        with use_model(name="other", propagate=False):
            assert sent() is None
            with use_model(name="agent"):
                assert sent() is None
        assert sent() == f"logged_model.id={AGENT}"


def test_a_decorated_function_propagates() -> None:
    @use_model(name="agent", propagate=True)
    def call() -> str | None:
        return sent()

    assert call() == f"logged_model.id={AGENT}"


def test_an_explicit_context_counts() -> None:
    with use_model(name="agent", propagate=True):
        there = context.get_current()
        for elsewhere, expected in ((there, {"baggage": f"logged_model.id={AGENT}"}), (Context(), {})):
            headers: dict[str, str] = {}
            propagate.inject(headers, context=elsewhere)
            assert headers == expected
    headers = {}
    propagate.inject(headers, context=there)
    assert headers == {"baggage": f"logged_model.id={AGENT}"}


def test_the_environment_sends_whatever_is_active(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PROPAGATE", "1")
    make_traced()
    assert sent() is None
    otel_loggedmodel.set_active_model("agent")
    assert sent() == f"logged_model.id={AGENT}"
    with use_model(name="other"):
        assert sent() == f"logged_model.id={OTHER}"
    with use_model(name="other", propagate=False):
        assert sent() is None


def test_an_environment_that_says_no_leaves_the_propagator_alone(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PROPAGATE", "0")
    make_traced()
    assert propagate.get_global_textmap() is STANDARD


def test_in_code_for_all_scopes() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(propagate=True))
    with use_model(name="agent"):
        assert sent() == f"logged_model.id={AGENT}"


def test_an_id_that_could_not_be_read_elsewhere_stays_here(caplog) -> None:
    for _ in range(2):
        with use_model(model_id='a b,"c"=d', propagate=True):
            assert sent() is None
    assert caplog.text.count("does not go out with requests") == 1


def test_without_a_baggage_propagator_the_header_is_ours_alone() -> None:
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    with inside(baggage.set_baggage("user", "ann")):
        with use_model(name="agent", propagate=True):
            assert sent() == f"logged_model.id={AGENT}"
            assert propagate.get_global_textmap().fields == {"traceparent", "tracestate", "baggage"}
        assert dict(baggage.get_all(received("user=bob,logged_model.id=v1"))) == {"logged_model.id": "v1"}


def test_a_propagator_that_is_set_later_stops_it_and_the_next_scope_installs_it_again() -> None:
    with use_model(name="agent", propagate=True):
        propagate.set_global_textmap(STANDARD)
        assert sent() is None
    with use_model(name="agent", propagate=True):
        assert sent() == f"logged_model.id={AGENT}"


def test_it_is_never_wrapped_twice() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(LoggedModelPropagator()))
    assert propagate.get_global_textmap().wrapped is STANDARD
    installed = propagate.get_global_textmap()
    threads = [threading.Thread(target=propagation.install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert propagate.get_global_textmap() is installed


def test_the_instrumentor_takes_it_from_yaml_and_gives_it_back() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor = LoggedModelInstrumentor()
    instrumentor.instrument(tracer_provider=provider, propagate=True, propagate_hosts=["search"])
    with use_model(name="agent"):
        assert sent() is None
        with calling(server_address="search"):
            assert f"logged_model.id={AGENT}" in sent()
    instrumentor.uninstrument(tracer_provider=provider)
    assert propagate.get_global_textmap() is STANDARD


def test_uninstrumenting_leaves_the_applications_own_propagator() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    own = LoggedModelPropagator(hosts=["search"])
    propagate.set_global_textmap(own)
    LoggedModelInstrumentor().instrument(tracer_provider=provider, propagate=True)
    LoggedModelInstrumentor().uninstrument(tracer_provider=provider)
    assert propagate.get_global_textmap() is own


def test_propagate_is_yes_or_no() -> None:
    with pytest.raises(TypeError, match=r"pass True or False; hosts belong to LoggedModelPropagator\(hosts="):
        use_model(name="agent", propagate="search")


# Hosts


@pytest.mark.parametrize(
    ("attributes", "goes"),
    [
        ({"server_address": "search"}, True),
        ({"server_address": "SEARCH."}, True),
        ({"server_address": "a.b.internal"}, True),
        ({"server_address": "internal"}, False),
        ({"server_address": "evilinternal"}, False),
        ({"server_address": "search.evil.com"}, False),
        ({"server_address": "api.openai.com"}, False),
        ({"url_full": "https://user:pw@search:8080/path?x=search"}, True),
        ({"url_full": "https://evil.com/@search"}, False),
        ({"url_full": "https://search@evil.com/"}, False),
        ({"url_full": "https://[::1]:80/"}, True),
        ({"url_full": "https://[::1"}, False),
        ({"url_full": "/relative"}, False),
        ({"server_address": "0:0:0:0:0:0:0:1"}, True),
        ({"server_address": "10.0.0.7"}, True),
        ({"http_url": "http://search/"}, True),
        ({"http_host": "search:8080"}, True),
        ({"server_address": "evil.com", "http_url": "http://search/"}, False),
        ({"peer_service": "search"}, False),
        ({}, False),
    ],
)
def test_only_hosts_that_are_named_get_it(attributes: dict[str, str], goes: bool) -> None:
    propagate.set_global_textmap(LoggedModelPropagator(hosts=["Search", "*.internal", "::1", "10.0.0.7"]))
    with use_model(name="agent", propagate=True), calling(**attributes):
        assert sent() == (f"logged_model.id={AGENT}" if goes else None)


def test_net_peer_name_is_a_host_too() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(hosts=["search"]))
    span = TracerProvider(shutdown_on_exit=False).get_tracer("client").start_span("GET", kind=SpanKind.CLIENT)
    span.set_attribute("net.peer.name", "search")
    with use_model(name="agent", propagate=True), use_span(span):
        assert sent() == f"logged_model.id={AGENT}"


def test_what_a_caller_says_of_our_own_host_is_not_where_we_call() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(hosts=["search"]))
    span = TracerProvider(shutdown_on_exit=False).get_tracer("server").start_span("GET /", kind=SpanKind.SERVER)
    span.set_attribute("server.address", "search")  # the Host header, as it came
    with use_model(name="agent", propagate=True), use_span(span):
        assert sent() is None


def test_what_came_in_goes_to_those_hosts_only() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(hosts=["search"]))
    with inside(received("user=ann,logged_model.id=v1")):
        with calling(server_address="search"):
            assert sent() == "user=ann,logged_model.id=v1"
        with calling(server_address="evil.com"):
            assert sent() == "user=ann"


def test_a_redirected_request_loses_what_it_carried() -> None:
    propagate.set_global_textmap(LoggedModelPropagator(hosts=["search"]))
    with use_model(name="agent", propagate=True), calling(server_address="evil.com"):
        assert sent({"baggage": f"logged_model.id={AGENT}"}) is None
        assert sent({"baggage": f"a=b, logged_model.id ={AGENT};p=q,c=d"}) == "a=b,c=d"
        assert sent({"baggage": "a=b"}) == "a=b"


def test_the_environment_names_hosts(monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PROPAGATE_HOSTS", " search , http://x/, *.internal,")
    with use_model(name="agent", propagate=True):
        for host, goes in (("search", True), ("a.internal", True), ("x", False), ("http", False)):
            with calling(server_address=host):
                assert (sent() is not None) == goes
    assert caplog.messages == [
        "OTEL_LOGGEDMODEL_PROPAGATE_HOSTS: 'http://x/' is no host: pass a name, an address, or \"*.example.com\", "
        "without scheme or port; it is left out"
    ]


def test_a_list_with_nothing_right_in_it_lets_nothing_out(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PROPAGATE_HOSTS", "*")
    with use_model(name="agent", propagate=True), calling(server_address="search"):
        assert sent() is None


@pytest.mark.parametrize("host", ["", "*", "a b", "http://a", "a:80", "a/b", "*.*.a", "a..b", "-a", "a*"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host: pass a name, an address"):
        LoggedModelPropagator(hosts=[host])


def test_one_string_is_no_list_of_hosts() -> None:
    with pytest.raises(TypeError, match=r"pass a list, \['search'\]"):
        LoggedModelPropagator(hosts="search")
    with pytest.raises(TypeError, match="pass strings"):
        LoggedModelPropagator(hosts=[1])


# In

HOSTILE = [
    "m-1%0D%0Aset-cookie:%20a=b",
    "m%0Ax",
    "x" * 10_000,
    "x" * 129,
    "1';DROP%20TABLE%20otel_traces;--",
    "%E2%80%AEm-1",
    "m%C3%A9",
    "%F0%9F%92%A9",
    "a%2Cb",
    "m-1;property=1",
    "%00",
    "../../etc/passwd",
    "",
    "%20",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:20])
def test_hostile_baggage_reaches_neither_a_span_nor_a_header(make_traced, value: str) -> None:
    traced = make_traced(accept_baggage=True)
    arrived = received(f"user=ann,logged_model.id={value}")
    with inside(arrived), traced.tracer.start_as_current_span("request"):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        assert otel_loggedmodel.get_active_model_id() is None
    assert headers.get("baggage") in ("user=ann", None)  # None: the header as a whole was too long
    assert dict(traced.spans["request"].attributes) == {}
    assert traced.spans["request"].links == ()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_only_an_id_comes_in_or_goes_out(text: str) -> None:
    propagator = LoggedModelPropagator(STANDARD)
    arrived = propagator.extract({"baggage": f"logged_model.id={text}"}, Context())
    headers: dict[str, str] = {}
    propagator.inject(headers, baggage.set_baggage("logged_model.id", text, Context()))
    for value in (baggage.get_baggage("logged_model.id", arrived), headers.get("baggage", "=").partition("=")[2]):
        assert not value or (value.isascii() and value.replace(".", "-").replace("_", "-").replace("-", "a").isalnum())
        assert not value or len(value) <= 128


def test_a_version_that_is_accepted_is_the_active_one(make_traced) -> None:
    traced = make_traced(accept_baggage=True)
    with inside(received("logged_model.id=v1")):
        assert otel_loggedmodel.get_active_model_id() == "v1"
        with traced.tracer.start_as_current_span("request"):
            assert sent() == "logged_model.id=v1"
            with use_model(name="agent"):
                assert otel_loggedmodel.get_active_model_id() == AGENT
    assert traced.id_on("request") == "v1"


def test_the_environment_accepts(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE", "1")
    traced = make_traced()
    with inside(received("logged_model.id=v1")):
        traced.tracer.start_span("request").end()
    assert traced.id_on("request") == "v1"
    assert isinstance(propagate.get_global_textmap(), LoggedModelPropagator)


def test_what_is_not_accepted_stamps_nothing(traced) -> None:
    with inside(received("logged_model.id=v1")):
        traced.tracer.start_span("request").end()
        assert otel_loggedmodel.get_active_model_id() is None
    assert traced.id_on("request") is None


def test_a_broken_propagator_does_not_stop_a_scope(monkeypatch) -> None:
    from otel_loggedmodel import _errors

    monkeypatch.setattr(_errors, "raise_internal_errors", False)
    monkeypatch.setattr(propagation, "_global_propagator", lambda: 1 / 0)
    with use_model(name="agent", propagate=True) as model:
        assert model.name == "agent"
