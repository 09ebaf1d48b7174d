# SPDX-License-Identifier: Apache-2.0
"""TrackingSender: what becomes of a request, by what the server says to each call. The server is a stand-in here."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

import otel_loggedmodel
from conftest import Traced
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.delivery.otlp_answers import Verdict
from otel_loggedmodel.mlflow_server import sending
from otel_loggedmodel.mlflow_server.assessments import Assessment
from otel_loggedmodel.mlflow_server.linking import TraceLinker
from otel_loggedmodel.mlflow_server.models import UnknownModelError
from otel_loggedmodel.mlflow_server.rest import ServerError
from otel_loggedmodel.mlflow_server.sending import TrackingSender
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.mlflow_server.traces import TraceLink
from otel_loggedmodel.versions.model import LoggedModel, ModelEvent

AWAY = ServerError("away", status=503, may_pass=True, retry_after=7.0)
FORBIDDEN = ServerError("who are you", status=401)
ODD = ServerError("odd", status=400, is_of_content=True)
NO_TRACE = ServerError("no such trace", status=404, is_of_content=True)


class StandIn:
    """A server that does what a test says, and notes what it was asked."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.links: list[TraceLink] = []
        self.assessments: list[str] = []
        self.known: list[str] = []
        self.says: Callable[[object], Exception | None] = lambda asked: None
        self.is_closed = False
        self._lock = threading.Lock()

    def ask(self, asked: object, noted: list, note: object) -> None:
        error = self.says(asked)
        if error is not None:
            raise error
        with self._lock:
            noted.append(note)

    def close(self) -> None:
        self.is_closed = True


class StandInModels:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    def id_of(self, model_id: str, model: LoggedModel | None = None) -> str:
        self._server.known.append(model.name)
        return model_id

    def apply(self, event: ModelEvent) -> None:
        self._server.ask(event, self._server.events, (event.kind, event.model_id))


class StandInTraces:
    def __init__(self, server: StandIn, models: StandInModels) -> None:
        self._server = server

    def link(self, link: TraceLink, *, as_it_is: bool = False) -> None:
        try:
            self._server.ask(link, self._server.links, link)
        except UnknownModelError:
            if not as_it_is:
                raise
            self._server.links.append(link)

    def assess(self, assessment: Assessment) -> None:
        self._server.ask(assessment, self._server.assessments, assessment.name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    server = StandIn()
    monkeypatch.setattr(sending, "Server", lambda settings, connections: server)
    monkeypatch.setattr(sending, "Models", StandInModels)
    monkeypatch.setattr(sending, "Traces", StandInTraces)
    return server


@pytest.fixture
def sender(server: StandIn) -> Iterator[TrackingSender]:
    sender = TrackingSender(Settings("http://localhost"), calls_per_second=1e6)
    yield sender
    sender.close()
    assert server.is_closed


class Application:
    """Makes spans, and requests of what is picked from them."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.linker = TraceLinker()

    def traces(self, *model_ids: str, feedback: str | None = None) -> bytes:
        for model_id in model_ids:
            with otel_loggedmodel.use_model(model_id=model_id), self.traced.tracer.start_as_current_span("r") as root:
                if feedback is not None:
                    self.feedback(root.get_span_context().trace_id, feedback)
        return self.request(self.linker.pick(self.taken()))

    def feedback(self, trace_id: int, name: str) -> None:
        otel_loggedmodel.genai.log_feedback(
            trace_id=trace.format_trace_id(trace_id), name=name, value=1.0, tracer_provider=self.traced.provider
        )

    def feedback_alone(self, name: str) -> bytes:
        self.feedback(0xABC, name)
        return self.request(self.linker.pick(self.taken()))

    def records(self) -> bytes:
        self.traced.provider.force_flush()
        return self.request([span for span in self.taken() if "logged_model.event" in span.attributes])

    def taken(self) -> tuple[ReadableSpan, ...]:
        spans = self.traced.memory.get_finished_spans()
        self.traced.memory.clear()
        return spans

    def request(self, spans: list[ReadableSpan]) -> bytes:
        return otlp_payloads.encoded(spans)


@pytest.fixture
def application(traced: Traced) -> Application:
    return Application(traced)


def is_of(kind: type, **values: object) -> Callable[[object], bool]:
    return lambda asked: isinstance(asked, kind) and all(getattr(asked, key) == value for key, value in values.items())


def test_records_become_changes_in_their_order(sender: TrackingSender, server: StandIn, application) -> None:
    model = otel_loggedmodel.create_external_model("a")
    otel_loggedmodel.set_logged_model_tags(model.model_id, {"t": "1"})
    otel_loggedmodel.delete_logged_model(model.model_id)
    assert sender.send(application.records()).verdict is Verdict.DELIVERED
    assert server.events == [(kind, model.model_id) for kind in ("created", "updated", "deleted")]


def test_links_and_then_results(sender: TrackingSender, server: StandIn, application: Application) -> None:
    linked_at_result: list[int] = []

    def says(asked: object) -> None:
        if isinstance(asked, Assessment):
            linked_at_result.append(len(server.links))

    server.says = says
    assert sender.send(application.traces("a", "b", feedback="good")).verdict is Verdict.DELIVERED
    assert sorted(link.model_id for link in server.links) == ["a", "b"]
    assert linked_at_result == [2, 2]


def test_what_this_process_knows_of_a_version_is_said_with_its_link(sender, server, application: Application) -> None:
    model = otel_loggedmodel.create_external_model("known", params={"k": "v"})
    sender.send(application.traces(model.model_id, "stranger"))
    assert server.known == ["known"]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(AWAY, Verdict.LATER), (FORBIDDEN, Verdict.REFUSED), (ODD, Verdict.MALFORMED), (NO_TRACE, Verdict.MALFORMED)],
)
def test_what_the_server_says_to_a_link(sender, server, application: Application, error, verdict) -> None:
    server.says = lambda asked: error
    outcome = sender.send(application.traces("a"))
    assert (outcome.verdict, outcome.words, outcome.error_type) == (verdict, str(error), str(error.status))
    assert outcome.retry_after == error.retry_after


def test_a_result_whose_trace_is_not_there_waits(sender, server, application: Application) -> None:
    server.says = lambda asked: NO_TRACE
    payload = application.feedback_alone("early")
    assert sender.send(payload).verdict is Verdict.NOT_YET
    server.says = lambda asked: None
    assert sender.send(payload).verdict is Verdict.DELIVERED
    assert server.assessments == ["early"]


@pytest.mark.parametrize("error", [AWAY, FORBIDDEN])
def test_nothing_more_is_asked_of_a_server_that_will_not(sender, server, application: Application, error) -> None:
    asked: list[object] = []

    def says(one: object) -> Exception:
        asked.append(one)
        return error

    server.says = says
    sender.send(application.traces(*map(str, range(64)), feedback="good"))
    assert len(asked) <= sending.CONNECTIONS


def test_one_that_is_refused_does_not_keep_the_others(sender, server, application: Application) -> None:
    is_odd = is_of(TraceLink, model_id="7")
    server.says = lambda asked: ODD if is_odd(asked) else None
    assert sender.send(application.traces(*map(str, range(20)))).verdict is Verdict.MALFORMED
    assert sorted(int(link.model_id) for link in server.links) == [n for n in range(20) if n != 7]


def test_a_repetition_does_the_rest(sender, server, application: Application) -> None:
    is_late = is_of(TraceLink, model_id="7")
    server.says = lambda asked: AWAY if is_late(asked) else None
    payload = application.traces(*map(str, range(20)), feedback="good")
    assert sender.send(payload).verdict is Verdict.LATER
    server.says = lambda asked: None
    assert sender.send(payload).verdict is Verdict.DELIVERED
    assert sorted(int(link.model_id) for link in server.links) == list(range(20))
    assert len(server.assessments) == 20
    assert sender._done == {}


def test_a_version_that_nobody_knows_is_waited_for_and_then_linked_as_it_is(server, application: Application) -> None:
    sender = TrackingSender(Settings("http://localhost"), unknown_seconds=0.05)
    asked: list[object] = []

    def says(one: object) -> Exception | None:
        asked.append(one)
        return UnknownModelError("?")

    server.says = says
    payload = application.traces("stranger", "stranger")
    assert sender.send(payload).verdict is Verdict.NOT_YET
    deadline = time.monotonic() + 30
    while sender.send(payload).verdict is Verdict.NOT_YET:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [link.model_id for link in server.links] == ["stranger"] * 2


def test_of_a_version_that_nobody_knows_the_server_is_asked_now_and_again(sender, server, application) -> None:
    asked: list[object] = []

    def says(one: object) -> Exception | None:
        asked.append(one)
        return UnknownModelError("?")

    server.says = says
    for _ in range(10):
        assert sender.send(application.traces("stranger")).verdict is Verdict.NOT_YET
    assert len(asked) == 1


def test_several_calls_go_on_at_once(sender, server, application: Application) -> None:
    together = threading.Barrier(sending.CONNECTIONS)

    def says(asked: object) -> None:
        together.wait(30)

    server.says = says
    assert sender.send(application.traces(*"abcd")).verdict is Verdict.DELIVERED


def test_not_more_calls_are_begun_than_may_be(server: StandIn, application: Application) -> None:
    sender = TrackingSender(Settings("http://localhost"), calls_per_second=50)
    began = time.monotonic()
    sender.send(application.traces(*map(str, range(26))))
    assert time.monotonic() - began >= 0.5


def test_where_no_thread_can_be_started_the_caller_does_it_all(sender, server, application, monkeypatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert sender.send(application.traces(*"abcd")).verdict is Verdict.DELIVERED
    assert sorted(link.model_id for link in server.links) == list("abcd")


def test_what_is_under_way_ends_when_it_is_stopped(sender, server, application: Application) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def says(asked: object) -> None:
        begun.set()
        go_on.wait(30)

    server.says = says
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(sender.send, application.traces(*map(str, range(64))))
        assert begun.wait(30)
        sender.stop()
        go_on.set()
        assert sent.result(30).verdict is Verdict.NOT_YET
    assert len(server.links) <= sending.CONNECTIONS


def test_what_cannot_be_read_is_refused(sender: TrackingSender) -> None:
    assert sender.send(b"\xff\xff").verdict is Verdict.MALFORMED
