# SPDX-License-Identifier: Apache-2.0
"""Who may send, and who may ask."""

import json
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from asking import JSON, PROTOBUF, Answer
from effort import some
from memory_reader import MemoryReader
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.tries import ProgramTries
from waiting import wait_until

from .backends import Backend, MemoryWriter, body_of

TOKEN = "s3cret-Token~"
PATHS = [
    "/",
    "/metrics",
    "/api/v1/versions",
    "/api/v1/versions/x",
    "/api/v1/compare?version=a",
    "/api/v1/traces",
    "/api/v1/traces/x",
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Backend]:
    backend = Backend(Settings(http_port=0, grpc_port=0, token=TOKEN), MemoryWriter(), MemoryReader())
    # From an address that the right token came from, wrong ones are looked at, however many.
    assert backend.get("/", Authorization=f"Bearer {TOKEN}").status == 200
    yield backend
    backend.stop()


@pytest.mark.parametrize(
    "presented",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer sch\xfcssel",
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_questions_need_the_token(guarded: Backend, path: str, presented: str | None) -> None:
    answer = guarded.get(path, **({} if presented is None else {"Authorization": presented}))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert json.loads(answer.body)["error"]["code"] == "unauthorized"
    assert guarded.reader.asked == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_they_are_answered(guarded: Backend, scheme: str) -> None:
    for path in ("/", "/metrics"):
        assert guarded.get(path, Authorization=f"{scheme} {TOKEN}").status == 200


def test_health_needs_none(guarded: Backend) -> None:
    assert guarded.get("/healthz").status == 200
    assert guarded.get("/readyz").status == 200
    assert guarded.call(b"", method="/grpc.health.v1.Health/Check") == b"\x08\x01"


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs"])
def test_sending_needs_the_token(guarded: Backend, path: str) -> None:
    answer = guarded.ask("POST", path, body_of(), {"content-type": JSON})
    assert answer.status == 401
    assert json.loads(answer.body)["code"] == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert "OTEL_EXPORTER_OTLP_HEADERS" in json.loads(answer.body)["message"]


def test_sending_with_the_token(guarded: Backend) -> None:
    assert guarded.post(body_of(1, seed=1), authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.call(body_of(1, seed=2), [("authorization", f"Bearer {TOKEN}")]) == b""
    assert len(guarded.writer.spans) == 2


@pytest.mark.parametrize("metadata", [[], [("authorization", "Bearer wrong")]])
def test_calling_needs_the_token(guarded: Backend, metadata: list[tuple[str, str]]) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        guarded.call(body_of(), metadata)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


# Guessing


def guess_over_http(backend: Backend, token: str) -> tuple[object, int]:
    answer = backend.post(body_of(), authorization=f"Bearer {token}")
    return answer.status, int(answer.headers.get("retry-after", "0"))


def guess_over_the_api(backend: Backend, token: str) -> tuple[object, int]:
    answer = backend.get("/api/v1/revision", Authorization=f"Bearer {token}")
    return answer.status, int(answer.headers.get("retry-after", "0"))


def guess_on_a_page(backend: Backend, token: str) -> tuple[object, int]:
    answer = backend.get("/traces", Authorization=f"Bearer {token}", Accept="text/html")
    return answer.status, int(answer.status == 429)


def guess_over_grpc(backend: Backend, token: str) -> tuple[object, int]:
    try:
        backend.call(body_of(), [("authorization", f"Bearer {token}")])
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        delays = [RetryInfo.FromString(detail.value).retry_delay.seconds for detail in status.details]
        return {"UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429}[error.code().name], sum(delays)
    return 200, 0


GUESSING = {
    "OTLP over HTTP": guess_over_http,
    "the API": guess_over_the_api,
    "a page": guess_on_a_page,
    "gRPC": guess_over_grpc,
}


@pytest.mark.parametrize("way", some(list(GUESSING)))
def test_one_token_after_another_is_slowed_down(serve: Callable[..., Backend], way: str) -> None:
    backend, guess = serve(token=TOKEN), GUESSING[way]
    assert [guess(backend, f"guess-{number}")[0] for number in range(5)] == [401] * 5
    # Whichever way is tried next, and whether it is the right one or not.
    for other in GUESSING.values():
        for token in ("guess-5", TOKEN):
            status, seconds = other(backend, token)
            assert (status, seconds >= 1) == (429, True)
    wait_until(lambda: guess(backend, TOKEN)[0] != 429, "the pause")
    # Whoever has the right one does not wait again for what else comes from there.
    assert [guess(backend, f"other-{number}")[0] for number in range(20)] == [401] * 20
    assert guess_over_http(backend, TOKEN) == (200, 0)


def test_a_sender_with_an_old_token_keeps_nobody_waiting(serve: Callable[..., Backend]) -> None:
    backend = serve(token=TOKEN)
    assert {guess_over_http(backend, "old") for _ in range(30)} == {(401, 0)}
    assert {guess_over_http(backend, "") for _ in range(30)} == {(401, 0)}
    assert guess_over_http(backend, TOKEN) == (200, 0)


def test_who_sends_is_told_apart_by_address() -> None:
    now = 0.0
    tries = ProgramTries(lambda: now)

    def guess(address: str, number: int = 5) -> None:
        for count in range(number):
            tries.was_wrong(address, b"%d" % count)

    guess("192.0.2.1")
    assert tries.seconds_to_wait("192.0.2.1") == 1
    assert tries.seconds_to_wait("::ffff:192.0.2.1") == 1
    assert tries.seconds_to_wait("192.0.2.2") == 0
    guess("2001:db8::1")
    assert tries.seconds_to_wait("2001:db8::ffff:2") == 1
    assert tries.seconds_to_wait("2001:db8:0:1::1") == 0
    guess("no address : at all")
    assert tries.seconds_to_wait("no address : at all") == 1
    # What was known is not for ever.
    tries.was_right("192.0.2.3")
    guess("192.0.2.3", 30)
    assert tries.seconds_to_wait("192.0.2.3") == 0
    now = 3601.0
    guess("192.0.2.3", 30)
    assert tries.seconds_to_wait("192.0.2.3") > 0
    for number in range(20_000):
        tries.was_right(str(number))
        tries.was_wrong(str(number), b"x")
    assert (len(tries._known), len(tries._seen)) == (10_000, 10_000)


# Browsers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:4318"])
def test_pages_may_not_send(shared: Backend, origin: str) -> None:
    answer = shared.post(body_of(), origin=origin)
    assert answer.status == 403
    assert origin in answer.error.message
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_that_are_named_may_send(serve: Callable[..., Backend]) -> None:
    backend = serve(allowed_origins=["https://app.example"])
    assert backend.post(body_of(), origin="https://APP.example").status == 200
    assert backend.post(body_of(2), origin="https://app.example.evil").status == 403


PAGE = "https://app.example"


@pytest.fixture(scope="module")
def open_to_a_page() -> Iterator[Backend]:
    settings = Settings(
        http_port=0, grpc_port=0, token=TOKEN, allowed_origins=[f"{PAGE}:443/", "http://localhost:5173"]
    )
    backend = Backend(settings, MemoryWriter(), MemoryReader())
    yield backend
    backend.stop()


def names_of_cors(answer: Answer) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control")}


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/traces/", "/v1/v1/traces", "/v1/logs", "/"])
def test_a_browser_that_asks_first_is_answered_before_the_token(open_to_a_page: Backend, path: str) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-tenant",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = open_to_a_page.ask("OPTIONS", path, headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-tenant"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "Origin" in answer.headers["vary"]


def test_a_browser_that_asks_for_no_header_is_told_which_are_sent(open_to_a_page: Backend) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = open_to_a_page.ask("OPTIONS", "/v1/traces", headers=asked)
    assert answer.headers["access-control-allow-headers"] == "authorization, content-encoding, content-type"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/traces", {"authorization": f"Bearer {TOKEN}", "content-type": JSON}, 200),
        ("POST", "/v1/traces", {"content-type": JSON}, 401),
        ("POST", "/v1/traces", {"authorization": f"Bearer {TOKEN}", "content-type": "text/plain"}, 415),
        ("POST", "/v1/traces", {"authorization": f"Bearer {TOKEN}", "content-type": PROTOBUF}, 400),
        ("POST", "/v1/logs", {"authorization": f"Bearer {TOKEN}", "content-type": JSON}, 404),
        ("POST", "/v1/v1/traces", {"content-type": JSON}, 404),
        ("POST", "/", {"content-type": JSON}, 404),
        ("GET", "/v1/traces", {"authorization": f"Bearer {TOKEN}"}, 405),
    ],
)
@pytest.mark.parametrize("origin", [PAGE, "HTTPS://App.Example", "http://localhost:5173"])
def test_a_page_that_is_named_can_read_every_answer(
    open_to_a_page: Backend, origin: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = open_to_a_page.ask(method, path, b"{}", {"origin": origin, **headers})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, origin)
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "null", "https://xapp.example"])
def test_other_pages_get_nothing(open_to_a_page: Backend, origin: str, method: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST", "authorization": f"Bearer {TOKEN}"}
    answer = open_to_a_page.ask(method, "/v1/traces", b"{}", {"content-type": JSON, **asked})
    assert (answer.status, names_of_cors(answer), answer.headers["vary"]) == (403, set(), "Origin")


@pytest.mark.parametrize("path", [*PATHS, "/login"])
def test_a_page_that_may_send_may_not_read(open_to_a_page: Backend, path: str) -> None:
    answer = open_to_a_page.get(path, Origin=PAGE, Authorization=f"Bearer {TOKEN}")
    assert names_of_cors(answer) == set()


def test_a_backend_that_names_no_page_says_nothing_of_pages(shared: Backend) -> None:
    answer = shared.post(body_of(1, seed=78))
    assert names_of_cors(answer) == set()
    assert "vary" not in answer.headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "localhost.evil", "[::2]:4318", "10.0.0.1", ""],
)
@pytest.mark.parametrize("path", PATHS)
def test_names_that_were_made_to_point_here_get_nothing(shared: Backend, host: str, path: str) -> None:
    answer = shared.get(path, Host=host)
    assert answer.status == 421
    assert json.loads(answer.body)["error"]["code"] == "misdirected"
    assert "OTEL_LOGGEDMODEL_TOKEN" in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:4318", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:4318", "localhost."]
)
def test_this_machine_is_answered(shared: Backend, host: str) -> None:
    assert shared.get("/", Host=host).status == 200


def test_health_is_told_to_everyone(shared: Backend) -> None:
    assert shared.get("/healthz", Host="10.1.2.3:4318").status == 200


def test_exporters_may_use_any_name(shared: Backend) -> None:
    assert shared.post(body_of(1, seed=77), host="collector.internal").status == 200


def test_with_a_token_any_name_will_do(guarded: Backend) -> None:
    assert guarded.get("/", Host="traces.example", Authorization=f"Bearer {TOKEN}").status == 200
