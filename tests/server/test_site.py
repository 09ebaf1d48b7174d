# SPDX-License-Identifier: Apache-2.0
"""The pages on the wire: who gets them, what they may do in a browser, and how they begin before they are made."""

import http.client
import re
import threading
import time
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from asking import Answer
from memory_reader import MemoryReader
from otel_loggedmodel.pages import design
from otel_loggedmodel.pages.files import read
from otel_loggedmodel.server import remembering, sessions, site
from otel_loggedmodel.server.tries import Tries
from otel_loggedmodel.store.chart_results import Deployment
from otel_loggedmodel.store.reading import (
    AmbiguousVersionError,
    Selection,
    StoreUnavailableError,
    TraceFilter,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.results import VersionMetrics
from otel_loggedmodel.store.trace_results import Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail
from waiting import wait_until

from .backends import Backend

TOKEN = "s3cret-token"
PAGES = ["/", "/compare?version=a&version=b", "/version?id=v", "/traces", "/trace?id=t", "/runs", "/run?id=r"]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def reader(shared: Backend) -> MemoryReader:
    """The reader of the shared backend, as new; and nothing that pages were made of before."""
    shared.reader.__init__()
    shared.reader.details = {"v": VersionDetail(version=Version(model_id="v"), metrics=VersionMetrics(model_id="v"))}
    shared.reader.whole_traces = {"t": Trace(trace_id="t", spans=())}
    shared.server._site._memory._answers.clear()
    return shared.reader


@pytest.fixture
def guarded(serve: Callable[..., Backend]) -> Backend:
    return serve(token=TOKEN)


def browse(backend: Backend, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return backend.ask("GET", path, headers={"Accept": "text/html,application/xhtml+xml", **named})


def log_in(backend: Backend, token: str = TOKEN, target: str = "/", **headers: str) -> Answer:
    body = urlencode({"token": token, "next": target})
    return backend.ask("POST", "/login", body, {"Content-Type": FORM, **headers})


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_browser_gets_a_page_where_a_program_gets_json(shared: Backend, reader: MemoryReader) -> None:
    page = browse(shared, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1>Versions</h1>" in page.body
    for accept in ("*/*", "application/json", ""):
        answer = shared.ask("GET", "/", headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"
        assert b'"otel-loggedmodel"' in answer.body


@pytest.mark.parametrize("path", [*PAGES, "/nothing?", "/static/pages.css", "/version?id=none", "/traces?page=x"])
def test_every_page_forbids_what_it_does_not_need(shared: Backend, reader: MemoryReader, path: str) -> None:
    if path == "/nothing?":
        path = "/trace"
    headers = browse(shared, path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


def test_only_the_files_of_the_pages_are_served(shared: Backend) -> None:
    assert shared.get("/static/pages.css").headers["content-type"].startswith("text/css")
    assert shared.get("/static/pages.js").headers["content-type"].startswith("text/javascript")
    for name in ("..%2Ftemplates%2Fbase.html", "base.html", "", "pages.css%00", "fonts.css"):
        assert shared.get(f"/static/{name}").status == 404


def test_a_file_is_kept_by_browsers_under_an_address_that_changes_with_it(shared: Backend) -> None:
    head = browse(shared, "/compare").body.decode().partition("</head>")[0]
    style = shared.get("/static/pages.css").body.decode()
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', head)
    assert len(addresses) == 4
    assert set(re.findall(r'url\("([^"]+)"\)', style)) < set(addresses)
    for address in addresses:
        kept, named = shared.get(address), shared.get(address.partition("?")[0])
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert named.headers["cache-control"] == shared.get(f"{address}0").headers["cache-control"] == "no-cache"
        assert kept.body == named.body


def test_what_an_address_says_is_what_is_asked(shared: Backend, reader: MemoryReader) -> None:
    assert (
        browse(shared, "/traces?version=v&order=worst&errors_only=true&page=3&service=s&attribute=k=x=y").status == 200
    )
    assert reader.asked == [
        (
            "traces",
            ("v",),
            TraceFilter(errors_only=True, order="worst", limit=51, offset=100),
            Selection(service="s", attributes={"k": "x=y"}),
        ),
        ("facets", ("v",), TraceFilter(errors_only=True), Selection(service="s", attributes={"k": "x=y"})),
        ("versions", VersionFilter(limit=1000, counted=False), Selection()),
        ("datasets",),
    ]
    assert browse(shared, "/compare?version=b&version=a&version=").status == 200
    assert [asked[:2] for asked in reader.asked[4:]] == [
        ("compare", ("b", "a")),
        ("activities", ("b", "a")),
        ("behaviour", ("b", "a")),
    ]
    for traffic, selection in (("production", Selection(production=True)), ("dataset:q=1", Selection(dataset="q=1"))):
        assert browse(shared, f"/traces?{urlencode({'traffic': traffic})}").status == 200
        assert [asked[3] for asked in reader.asked if asked[0] == "traces"][-1] == selection


def test_the_store_is_asked_again_when_something_was_stored(
    shared: Backend, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "_GOOD_FOR_TIMES", 0.0)  # however long a busy machine takes
    for _ in range(3):
        assert browse(shared, "/traces").status == 200
    assert len(reader.asked) == 4
    reader.revised = "2"
    # The first such page does not wait for what it only offers, and a page that is open is then brought up to it.
    wait_until(lambda: 'data-revision="2"' in browse(shared, "/traces").body.decode())
    assert sorted(asked[0] for asked in reader.asked[4:]) == ["datasets", "facets", "traces", "versions"]
    assert shared.get("/revision").body == b"2"


def test_a_page_that_takes_long_begins_at_once(shared: Backend, reader: MemoryReader) -> None:
    reader.gate.clear()
    connection = shared.connect()
    connection.request("GET", "/traces", headers={"Accept": "text/html"})
    response = connection.getresponse()
    head = response.read1()
    assert b"Reading the store" in head
    assert b"<main" not in head
    reader.gate.set()
    rest = response.read()
    connection.close()
    whole = (head + rest).decode()
    assert whole.count("<!doctype html>") == whole.count("<main") == whole.count("</html>") == 1
    assert "No trace matches" in whole


def test_a_page_that_fails_late_says_so(shared: Backend, reader: MemoryReader) -> None:
    reader.gate.clear()
    reader.error = StoreUnavailableError("the store is <locked>")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(browse(shared, "/traces").body.decode()))
    thread.start()
    wait_until(lambda: reader.asked)
    threading.Event().wait(0.3)  # until the page has begun
    reader.gate.set()
    thread.join()
    assert "the store is &lt;locked&gt;" in found[0]
    assert found[0].count("<main") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownVersionError("no such version", ["m-1", "m-<2>"]), 404),
        (AmbiguousVersionError("m-1 and m-2"), 409),
        (StoreUnavailableError("locked"), 503),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_errors_of_the_store(
    shared: Backend, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    # A page that began before it is known that it cannot be made has a status already.
    monkeypatch.setattr(site, "_PATIENCE_SECONDS", 60.0)
    reader.error = error
    for path in PAGES:
        answer = browse(shared, path)
        text = unescape(re.sub("<[^>]*>", "", answer.body.decode()))
        assert answer.status == status
        assert "secret" not in text
        assert ("m-<2>" in text) == (status == 404)
        assert (str(error) in text) == (status != 500)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_only_read(shared: Backend, reader: MemoryReader, method: str, path: str) -> None:
    assert shared.ask(method, path).status == 405
    assert reader.asked == []


def test_a_page_under_another_name_is_refused(shared: Backend, reader: MemoryReader) -> None:
    for path in [*PAGES, "/login"]:
        assert browse(shared, path, Host="evil.example").status == 421
    assert shared.ask("POST", "/login", "token=x", {"Content-Type": FORM, "Host": "evil.example"}).status == 421
    assert shared.get("/revision", Host="evil.example").status == 401
    assert reader.asked == []


# With a token


def test_without_the_token_there_is_only_the_form(guarded: Backend) -> None:
    for path in PAGES:
        answer = browse(guarded, path)
        assert (answer.status, answer.body) == (303, b"")
        assert answer.headers["location"] == "/login?next=" + quote(path, safe="")
    assert guarded.get("/revision").status == 401
    form = browse(guarded, browse(guarded, "/traces?order=worst").headers["location"])
    assert form.status == 200
    assert 'name="next" value="/traces?order=worst"' in form.body.decode()
    assert guarded.reader.asked == []


def test_the_token_opens_a_session(guarded: Backend) -> None:
    answer = log_in(guarded, target="/traces?order=worst&service=a%26b")
    assert (answer.status, answer.headers["location"]) == (303, "/traces?order=worst&service=a%26b")
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert TOKEN not in answer.headers["set-cookie"]
    for path in ("/", "/traces"):
        assert browse(guarded, path, Cookie=cookie_of(answer)).status == 200
    assert guarded.get("/revision", Cookie=cookie_of(answer)).status == 200
    # It is for pages; programs have the token.
    assert guarded.get("/api/v1/versions", Cookie=cookie_of(answer)).status == 401


def test_a_wrong_token_opens_none(guarded: Backend) -> None:
    for token in ("", "wrong", TOKEN[:-1], "ü"):
        answer = log_in(guarded, token)
        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert b"not the token" in answer.body


def test_a_session_cannot_be_made_up_or_outlived(guarded: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    good = cookie_of(log_in(guarded))
    name, _, value = good.partition("=")
    for forged in (value[:-1], value + "x", value[::-1], "", "x.y", "9" * 99):
        assert browse(guarded, "/", Cookie=f"{name}={forged}").status == 303
    assert browse(guarded, "/", Cookie=good).status == 200
    over = time.monotonic() + sessions.SESSION_SECONDS
    monkeypatch.setattr(sessions.time, "monotonic", lambda: over)
    assert browse(guarded, "/", Cookie=good).status == 303


def test_another_token_ends_all_sessions(guarded: Backend, serve: Callable[..., Backend]) -> None:
    cookie = cookie_of(log_in(guarded))
    assert browse(serve(token="another-token"), "/", Cookie=cookie).status == 303


def test_logging_out_ends_the_session_and_no_other(guarded: Backend) -> None:
    mine, another = cookie_of(log_in(guarded)), cookie_of(log_in(guarded))
    answer = guarded.ask("POST", "/logout", "", {"Content-Type": FORM, "Cookie": mine})
    assert answer.status == 303
    assert 'otel_loggedmodel_session=""' in answer.headers["set-cookie"]
    # Whoever kept it opens nothing with it.
    assert browse(guarded, "/", Cookie=mine).status == 303
    assert browse(guarded, "/", Cookie=another).status == 200
    assert guarded.get("/logout").status == 405


def test_wrong_tokens_are_slowed_down_and_a_right_one_then_too(guarded: Backend) -> None:
    for _ in range(5):
        assert log_in(guarded, "guess").status == 401
    for token in ("guess", TOKEN):
        answer = log_in(guarded, token)
        assert (answer.status, int(answer.headers["retry-after"]) >= 1) == (429, True)
        assert b"Too many wrong tokens" in answer.body
        assert "set-cookie" not in answer.headers
    wait_until(lambda: log_in(guarded).status == 303, "the pause")
    # What was right has wrong ones forgotten.
    assert log_in(guarded, "guess").status == 401


def test_each_wrong_token_waits_twice_as_long_up_to_a_minute() -> None:
    now = 0.0
    tries = Tries(lambda: now)
    pauses = []
    for _ in range(14):
        tries.was_wrong("here")
        pauses.append(tries.seconds_to_wait("here"))
        now += pauses[-1]
        assert tries.seconds_to_wait("here") == 0
    assert pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert tries.seconds_to_wait("elsewhere") == 0
    for number in range(20_000):
        tries.was_wrong(str(number))
    assert len(tries._wrong) == 10_000


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_neither_asks_nor_shows_what_is_here(shared: Backend, site: str) -> None:
    for path in ("/api/v1/versions", "/api/v1/compare?version=x", "/metrics", "/api/v1/store"):
        answer = shared.get(path, **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"})
        assert answer.status == 403
        assert b"another site" in answer.body
    in_a_page = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert browse(shared, "/compare?version=x", **in_a_page).status == 403
    opened = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert browse(shared, "/", **opened).status == 200
    assert shared.get("/api/v1/versions", **{"Sec-Fetch-Site": "same-origin"}).status == 200


def test_other_pages_cannot_send_the_form(guarded: Backend) -> None:
    assert log_in(guarded, Origin="https://evil.example").status == 403
    assert log_in(guarded, Origin="null").status == 403
    assert guarded.ask("POST", "/logout", "", {"Origin": "https://evil.example"}).status == 403
    assert log_in(guarded, Origin=f"http://127.0.0.1:{guarded.port}").status == 303


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nx", "", "/\t/e.x"],
)
def test_nobody_is_sent_elsewhere_after_logging_in(guarded: Backend, target: str) -> None:
    assert log_in(guarded, target=target).headers["location"] == "/"
    form = browse(guarded, "/login?next=" + quote(target, safe="")).body.decode()
    assert 'name="next" value="/"' in form


def test_a_link_from_elsewhere_is_followed_by_a_page_that_asks_again(guarded: Backend) -> None:
    # The cookie is strict: it does not come along at first.
    answer = browse(guarded, "/traces", Sec_Fetch_Site="cross-site")
    assert answer.status == 200
    assert b'http-equiv="refresh"' in answer.body
    assert browse(guarded, "/traces", Sec_Fetch_Site="same-origin").status == 303


def test_a_program_reads_pages_with_the_token(guarded: Backend) -> None:
    assert browse(guarded, "/", Authorization=f"Bearer {TOKEN}").status == 200
    assert browse(guarded, "/", Authorization="Bearer wrong").status == 401


@pytest.mark.parametrize("body", [b"x" * 20_000, b"\xff\xfe", b"&".join([b"a=1"] * 50)])
def test_a_form_that_is_none_is_refused(guarded: Backend, body: bytes) -> None:
    assert guarded.ask("POST", "/login", body, {"Content-Type": FORM}).status == 400


def test_without_a_token_nobody_logs_in(shared: Backend) -> None:
    assert browse(shared, "/login").headers["location"] == "/"
    assert log_in(shared, "").status == 401


def test_the_first_step_says_where_to_send(shared: Backend, reader: MemoryReader, guarded: Backend) -> None:
    text = unescape(browse(shared, "/").body.decode())
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{shared.port} " in text
    assert "HEADERS" not in text
    text = unescape(browse(guarded, "/", Cookie=cookie_of(log_in(guarded))).body.decode())
    assert "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>" in text
    assert TOKEN not in text


def test_thousands_of_versions_are_listed_in_parts(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [
        Version(model_id=f"m-{number}", name=f"agent {number % 50}", creation_timestamp=number, tags={"n": str(number)})
        for number in range(5000)
    ]
    first = browse(shared, "/").body.decode()
    assert "5,000 versions" in first
    assert first.count('name="version"') == 25
    assert reader.asked[0] == ("versions", VersionFilter(deleted=True, limit=10_000, counted=False), Selection())
    shown = set(re.findall(r'name="version" value="([^"]+)"', first))
    second = browse(shared, "/?page=2").body.decode()
    assert not shown & set(re.findall(r'name="version" value="([^"]+)"', second))
    assert browse(shared, "/?tag=n%3D4711").body.decode().count('name="version"') == 1


def test_a_name_with_a_number_is_held_against_the_number_before(shared: Backend, reader: MemoryReader) -> None:
    now = int(time.time() * 1000)
    reader.listed = [
        Version(model_id=f"m-{number}", name=f"agent-v{number}", params={"k": str(number)}, last_seen_ms=now)
        for number in (10, 2)
    ]
    reader.deployed = [Deployment(model_id="m-10", service="agent", since_ms=now, last_ms=now, share=1.0)]
    text = browse(shared, "/").body.decode()
    assert 'href="/compare?version=m-2&amp;version=m-10">Is agent-v10 better than agent-v2?</a>' in text
    assert 'href="/compare?version=m-2&amp;version=m-10">compare with agent-v2<' in text
    assert "<b>k</b> 2 → 10" in text
    assert text.count("better than") == 1


def test_what_a_version_changed_is_what_the_one_before_had_not(shared: Backend, reader: MemoryReader) -> None:
    common: dict[str, Any] = {"name": "agent"}
    reader.listed = [
        Version(model_id="m-2", creation_timestamp=2, params={"llm": "b", "prompt": "x" * 99, "k": "1"}, **common),
        Version(model_id="m-1", creation_timestamp=1, params={"llm": "a", "prompt": "y" * 99}, **common),
        Version(model_id="m-0", creation_timestamp=0, params={}, deleted=True, **common),
    ]
    text = unescape(browse(shared, "/").body.decode())
    assert "<b>k</b> added, <b>llm</b> a → b, <b>prompt</b> changed" in text
    assert "m-0" not in re.findall(r'name="version" value="([^"]+)"', text)
    assert "/compare?version=m-1&version=m-2" in text


def test_a_client_that_leaves_harms_nobody(shared: Backend, reader: MemoryReader) -> None:
    reader.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
    connection.request("GET", "/traces", headers={"Accept": "text/html"})
    wait_until(lambda: reader.asked)
    connection.close()
    reader.gate.set()
    wait_until(lambda: shared.server._questions._open == 0)
    assert browse(shared, "/traces").status == 200


def test_what_runs_side_by_side_is_compared_with_what_serves_users(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [
        Version(model_id="m-new", name="agent", creation_timestamp=2, tags={"release": "v2", "stage": "candidate"}),
        Version(model_id="m-old", name="agent", creation_timestamp=1, tags={"release": "v1", "stage": "production"}),
    ]
    reader.deployed = [
        Deployment(model_id="m-old", service="support", environment="eu", since_ms=2, last_ms=9, share=0.75),
        Deployment(model_id="m-new", service="support", environment="eu", since_ms=1, last_ms=9, share=0.25),
        Deployment(model_id="m-unknown", service="other", since_ms=1, last_ms=9, share=1.0),
    ]
    text = unescape(browse(shared, "/").body.decode())
    live = text[text.index('id="live-now"') : text.index("</section>")]
    assert "/compare?version=m-old&version=m-new" in live
    assert "Is v2 better than v1?" in live
    assert live.count("%</td>") == 2
    assert "other" not in live
    assert text.count('class="tag deployed"') == 2


def test_a_wrong_address_is_a_page_to_a_browser_and_json_to_a_program(shared: Backend) -> None:
    answer = browse(shared, "/nothing/here")
    assert answer.status == 404
    assert "There is no page at /nothing/here." in answer.body.decode()
    assert "<nav" in answer.body.decode()
    program = shared.ask("GET", "/nothing/here")
    assert program.status == 404
    assert program.headers["content-type"] == "application/json"


def test_components_are_shown_to_those_who_work_on_the_pages_alone(
    shared: Backend, serve: Callable[..., Backend]
) -> None:
    assert browse(shared, "/design").status == 404
    answer = browse(serve(dev=True), "/design")
    assert answer.status == 200
    text, style = answer.body.decode(), read("pages.css").decode()
    for name, _ in design.COLOURS:
        assert f" --{name}:" in style
        assert f"<code>--{name}</code>" in text


def test_the_field_on_top_finds_a_trace_a_version_and_a_text(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [Version(model_id="m-1", name="agent", params={"llm": "gpt-5"})]
    version = VersionDetail(version=reader.listed[0], metrics=VersionMetrics(model_id="m-1"))
    reader.details = {"agent": version}
    reader.whole_traces = {"a" * 32: Trace(trace_id="a" * 32, spans=())}

    def leads_to(text: str) -> str:
        answer = browse(shared, f"/find?text={quote(text)}")
        assert answer.status == 303
        return answer.headers["location"]

    assert leads_to("A" * 32) == f"/trace?id={'a' * 32}"
    assert leads_to("agent") == "/version?id=m-1"
    assert leads_to("gpt-5") == "/?text=gpt-5"
    assert leads_to("refund & more") == "/traces?order=newest&text=refund%20%26%20more"
    assert leads_to("") == "/"


def test_a_list_of_traces_leads_with_what_was_asked_and_keeps_its_filters(
    shared: Backend, reader: MemoryReader
) -> None:
    common: dict[str, Any] = {"span_id": "b" * 16, "model_id": "m-1", "span_name": "POST /ask", "service": "s"}
    reader.summaries = [
        TraceSummary(
            trace_id="1" * 32,
            start_ns=2,
            duration_ms=5.0,
            error=True,
            input="Refund me!",
            reason="no answer came",
            conversation="c-1",
            **common,
        ),
        TraceSummary(trace_id="2" * 32, start_ns=1, duration_ms=5.0, input="How much?", output="<b>Two</b>", **common),
    ]
    reader.listed = [Version(model_id="m-1", name="agent", tags={"release": "v1"})]
    text = browse(shared, "/traces?score=correct%3C0.5&text=refund").body.decode()
    (asked,) = (question for question in reader.asked if question[0] == "traces")
    assert TraceFilter(text="refund", score="correct<0.5", limit=51) in asked
    for shown in ("Refund me!", "no answer came", "How much?", "&lt;b&gt;Two&lt;/b&gt;", "agent v1"):
        assert shown in text
    assert 'href="/traces?text=refund" aria-label="Remove: score correct&lt;0.5"' in text
    assert text.index("Refund me!") < text.index("How much?")
    text = browse(shared, "/traces?conversation=c-1").body.decode()
    assert text.index("How much?") < text.index("Refund me!")


def test_where_nothing_is_ticked_two_versions_can_be_chosen(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [
        Version(model_id=f"m-{n}", name="agent", creation_timestamp=n, params={"k": str(n)}) for n in (2, 1)
    ]
    answer = browse(shared, "/compare")
    assert answer.status == 200
    text = unescape(answer.body.decode())
    assert "Which two versions?" in text
    assert "/compare?version=m-1&version=m-2" in text


def test_a_trace_that_is_too_large_for_its_page_says_so(shared: Backend, reader: MemoryReader) -> None:
    reader.whole_traces = {"a" * 32: Trace(trace_id="a" * 32, spans=(), left_out=90_000)}
    page = browse(shared, f"/trace?id={'a' * 32}").body
    assert b"90,000 more are left out" in page
    assert f"otel-loggedmodel traces --id {'a' * 32}".encode() in page
