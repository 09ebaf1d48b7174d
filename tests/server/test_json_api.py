# SPDX-License-Identifier: Apache-2.0
"""The JSON API, as it is on the wire."""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest

from asking import Answer
from memory_reader import MemoryReader
from otel_loggedmodel.store.reading import (
    EVERYTHING,
    AmbiguousVersionError,
    ReadingError,
    Selection,
    StoreUnavailableError,
    TraceFilter,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.results import LatencyMs, Score, VersionMetrics
from otel_loggedmodel.store.trace_results import Span, Trace, TraceSummary
from otel_loggedmodel.store.version_results import HistoryEntry, Version, VersionDetail
from waiting import wait_until

from .backends import Backend

HOSTILE_NAMES = [
    "v1.0",
    "team/agent/v2",
    "/",
    "a//b/",
    ".",
    "..",
    "../../etc/passwd",
    "100%",
    "%2F",
    "%25",
    "a?b=c&d#e",
    'it\'s "quoted" \\ back',
    "line\nbreak\n",
    "\n",
    "tab\tnul\0end",
    " leading and trailing ",
    "plus+plus",
    "<script>alert(1)</script>",
    "'; DROP TABLE otel_traces; --",
    "ünïcode 🚀 \u2028",
    "x" * 2000,
]


@pytest.fixture
def reader(shared: Backend) -> MemoryReader:
    """The reader of the shared backend, as new."""
    shared.reader.__init__()
    return shared.reader


def error_of(answer: Answer) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    error = json.loads(answer.body)["error"]
    assert set(error) == {"code", "message", "suggestions"}
    return error


def detail_of(name: str) -> VersionDetail:
    return VersionDetail(version=Version(model_id="m-1", name=name), metrics=VersionMetrics(model_id="m-1", name=name))


def test_versions(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [
        Version(model_id="m-1", name="a", params={"k": "v"}, services=("s",)),
        Version(model_id="m-2", registered=False),
    ]
    answer = shared.get("/api/v1/versions")
    assert answer.status == 200
    first, second = json.loads(answer.body)["versions"]
    assert (first["model_id"], first["params"], first["services"], first["p95_ms"]) == ("m-1", {"k": "v"}, ["s"], None)
    assert (second["model_id"], second["name"], second["registered"]) == ("m-2", None, False)
    assert reader.asked == [("versions", VersionFilter(), EVERYTHING)]


def test_an_id_for_each_request_is_told(shared: Backend, reader: MemoryReader) -> None:
    reader.listed = [Version(model_id=f"m-{number}", traces=1) for number in range(30)]
    (note,) = json.loads(shared.get("/api/v1/versions").body)["notes"]
    assert "is a version made for each request?" in note
    assert "belongs in attributes of spans" in note
    reader.listed = [Version(model_id=f"m-{number}", traces=50) for number in range(30)]
    assert json.loads(shared.get("/api/v1/versions").body)["notes"] == []


def test_every_answer_is_kept_by_nobody_and_taken_for_json(shared: Backend, reader: MemoryReader) -> None:
    for path in ("/", "/api/v1/versions", "/api/v1/versions/none", "/api/v1/versions?x=1", "/nowhere", "/healthz"):
        headers = shared.get(path).headers
        assert (headers["content-type"], headers["cache-control"], headers["x-content-type-options"]) == (
            "application/json",
            "no-store",
            "nosniff",
        )
        assert not [name for name in headers if name.startswith("access-control") or name == "server"]


def test_a_filter_of_versions(shared: Backend, reader: MemoryReader) -> None:
    path = "/api/v1/versions?name=a%20b&tag=env=prod&tag=k=x=y&param=p=&deleted=true&limit=7&service=s"
    assert shared.get(path).status == 200
    assert reader.asked == [
        (
            "versions",
            VersionFilter(name="a b", tags={"env": "prod", "k": "x=y"}, params={"p": ""}, deleted=True, limit=7),
            Selection(service="s"),
        )
    ]


UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T18:30:00Z", datetime(2026, 1, 31, 18, 30, tzinfo=UTC)),
        ("2026-01-31t18:30:00.5z", datetime(2026, 1, 31, 18, 30, 0, 500000, tzinfo=UTC)),
        ("2026-01-31T18:30:00.123456789Z", datetime(2026, 1, 31, 18, 30, 0, 123456, tzinfo=UTC)),
        ("2026-01-31 18:30:00-05:30", datetime(2026, 1, 31, 18, 30, tzinfo=timezone(-timedelta(hours=5, minutes=30)))),
        ("2026-01-31T18:30:00+02:00", datetime(2026, 1, 31, 18, 30, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
@pytest.mark.parametrize("escape", [quote, lambda text: text.replace(" ", "%20")], ids=["escaped", "as typed"])
def test_times(shared: Backend, reader: MemoryReader, text: str, time: datetime, escape: Callable[[str], str]) -> None:
    assert shared.get(f"/api/v1/traces?since={escape(text)}").status == 200
    assert reader.asked == [("traces", (), TraceFilter(), Selection(since=time))]


def test_a_selection(shared: Backend, reader: MemoryReader) -> None:
    query = "since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&service=a%26b&attribute=region=eu&attribute=x=y=z"
    query += "&dataset=q%201&by=session"
    selection = Selection(
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 2, 1, tzinfo=UTC),
        service="a&b",
        attributes={"region": "eu", "x": "y=z"},
        dataset="q 1",
        by="session",
    )
    for path in ("versions", "versions/v", "compare", "compare/rows", "traces"):
        shared.get(f"/api/v1/{path}?{query}" + ("&version=v&version=w" if "compare" in path else ""))
        assert reader.asked[-1][-1] == selection


def test_compare(shared: Backend, reader: MemoryReader) -> None:
    answer = shared.get("/api/v1/compare?version=b&version=a&version=%2F")
    assert [version["model_id"] for version in json.loads(answer.body)["versions"]] == ["b", "a", "/"]
    assert reader.asked == [("compare", ("b", "a", "/"), EVERYTHING)]


@pytest.mark.parametrize("question", ["activities", "behaviour"])
def test_what_charts_are_made_of(shared: Backend, reader: MemoryReader, question: str) -> None:
    answer = shared.get(f"/api/v1/{question}?version=b&version=a&service=s")
    assert answer.status == 200
    assert reader.asked == [(question, ("b", "a"), Selection(service="s"))]
    assert shared.get(f"/api/v1/{question}").status == 400
    assert shared.get(f"/api/v1/{question}?version=a&limit=1").status == 400


def test_whether_there_is_something_new(shared: Backend, reader: MemoryReader) -> None:
    assert json.loads(shared.get("/api/v1/revision").body) == {"revision": "1"}
    assert reader.asked == []


def test_traces(shared: Backend, reader: MemoryReader) -> None:
    reader.summaries = [
        TraceSummary(
            trace_id="t",
            span_id="s",
            model_id="m",
            span_name="n",
            service="x",
            start_ns=1_795_000_000_123_456_789,
            duration_ms=1.5,
        )
    ]
    answer = shared.get("/api/v1/traces?version=v&errors_only=true&order=costliest&limit=5&offset=10")
    [summary] = json.loads(answer.body)["traces"]
    assert (summary["trace_id"], summary["start_ns"], summary["cost_usd"]) == ("t", 1_795_000_000_123_456_789, None)
    assert reader.asked == [
        ("traces", ("v",), TraceFilter(errors_only=True, order="costliest", limit=5, offset=10), EVERYTHING)
    ]


def test_one_trace(shared: Backend, reader: MemoryReader) -> None:
    span = Span(
        trace_id="t",
        span_id="s",
        parent_span_id=None,
        name="n",
        kind="Server",
        service="x",
        start_ns=1,
        duration_ns=2,
        status="Ok",
    )
    reader.whole_traces = {"t": Trace(trace_id="t", spans=[span])}
    answer = json.loads(shared.get("/api/v1/traces/t").body)
    assert (answer["trace_id"], answer["spans"][0]["name"], answer["spans"][0]["links"]) == ("t", "n", [])


def test_a_version_with_all_there_is_to_it(shared: Backend, reader: MemoryReader) -> None:
    metrics = VersionMetrics(
        model_id="m-1",
        traces=3,
        latency_ms=LatencyMs(p50=1.5, p99=float("nan")),
        scores={"quality": Score(mean=0.5, count=2)},
    )
    history = [HistoryEntry(kind="created", time_ms=5, params={"p": "v"})]
    reader.details = {"v": VersionDetail(version=Version(model_id="m-1"), metrics=metrics, history=history)}
    answer = json.loads(shared.get("/api/v1/versions/v").body)
    assert answer["metrics"]["latency_ms"] == {"p50": 1.5, "p90": None, "p95": None, "p99": None, "mean": None}
    assert answer["metrics"]["scores"] == {"quality": {"mean": 0.5, "count": 2, "failed": 0, "groups": []}}
    assert answer["history"][0]["kind"] == "created"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_names_may_have_any_characters(shared: Backend, reader: MemoryReader, name: str) -> None:
    reader.details = {name: detail_of(name)}
    answer = shared.get("/api/v1/versions/" + quote(name, safe=""))
    assert answer.status == 200
    assert json.loads(answer.body)["version"]["name"] == name
    assert shared.get("/api/v1/compare?version=" + quote(name, safe="")).status == 200
    assert shared.get(f"/api/v1/versions?name={quote(name, safe='')}&tag={quote('k=' + name, safe='')}").status == 200
    assert reader.asked == [
        ("version", name, EVERYTHING),
        ("compare", (name,), EVERYTHING),
        ("versions", VersionFilter(name=name, tags={"k": name}), EVERYTHING),
    ]


def test_slashes_need_no_escape(shared: Backend, reader: MemoryReader) -> None:
    reader.details = {"team/agent": detail_of("team/agent")}
    assert shared.get("/api/v1/versions/team/agent").status == 200


# Mistakes


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("versions?nme=x", "'nme'"),
        ("versions?version=x", "'version'"),
        ("versions?name=a&name=b", "name is given 2 times"),
        ("versions?tag=novalue", "tag is 'novalue': expected key=value"),
        ("versions?tag==x", "expected key=value"),
        ("versions?tag=k=1&tag=k=2", "two values"),
        ("versions?deleted=yes", "deleted is 'yes': expected one of false, true"),
        ("versions?limit=0", "limit is '0': expected a number between 1 and 10000"),
        ("versions?limit=-1", "limit"),
        ("versions?limit=many", "limit"),
        ("versions?limit=" + "9" * 5000, "limit"),
        ("versions?limit=%D9%A3", "limit"),
        ("versions?since=yesterday", "since is 'yesterday': expected a time"),
        ("versions?since=2026-01-31", "zone"),
        ("versions?since=2026-01-31T18:30:00", "zone"),
        ("versions?since=2026-02-30T18:30:00Z", "since"),
        ("versions?since=2026-01-31T25:30:00Z", "since"),
        ("versions?since=2026-01-31T18:30:00%2B99:00", "since"),
        ("versions?until=", "until is ''"),
        ("versions?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since is not before until"),
        ("versions/v?limit=1", "'limit'"),
        ("versions/v?servce=x", "'servce'"),
        ("compare", "version is given 0 times"),
        ("compare?" + "version=x&" * 101, "version is given 101 times"),
        ("compare?version=a&limit=1", "'limit'"),
        ("compare/rows?version=a", "version is given 1 times: expected 2 to 100"),
        ("compare/rows?version=a&version=b&limit=1001", "limit"),
        ("traces?dataset=a&production=true", "exclude each other"),
        ("traces?order=random", "order is 'random': expected one of newest, slowest, costliest, worst"),
        ("traces?errors_only=1", "errors_only"),
        ("traces?offset=-1", "offset"),
        ("traces?" + "version=x&" * 101, "version is given 101 times"),
        ("traces/abc?version=a", "there are: none"),
    ],
)
def test_every_wrong_parameter_is_refused_before_the_store_is_asked(
    shared: Backend, reader: MemoryReader, path: str, text: str
) -> None:
    answer = shared.get("/api/v1/" + path)
    assert answer.status == 400
    error = error_of(answer)
    assert error["code"] == "bad_request"
    assert text in error["message"]
    assert reader.asked == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownVersionError("no such version", ["m-1", "m-2"]), 404, "unknown_version"),
        (AmbiguousVersionError("m-1 and m-2"), 409, "ambiguous_version"),
        (StoreUnavailableError("locked"), 503, "store_unavailable"),
        (ReadingError("not like this"), 400, "bad_request"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ],
)
def test_errors_of_the_store(shared: Backend, reader: MemoryReader, error: Exception, status: int, code: str) -> None:
    reader.error = error
    for path in ("versions", "versions/v", "compare?version=v", "traces", "traces/t"):
        answer = shared.get("/api/v1/" + path)
        assert (answer.status, error_of(answer)["code"]) == (status, code)
        if status == 500:
            assert "secret" not in answer.body.decode()
        else:
            assert error_of(answer)["message"] == str(error)
        assert error_of(answer)["suggestions"] == (["m-1", "m-2"] if code == "unknown_version" else [])
        assert ("retry-after" in answer.headers) == (status == 503)


def test_an_unknown_trace(shared: Backend, reader: MemoryReader) -> None:
    answer = shared.get("/api/v1/traces/none")
    assert (answer.status, error_of(answer)["code"]) == (404, "unknown_trace")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api", "/api/v1", "/api/v2/versions", "/v1/profiles", "//", "/api/v1/compare/"]
)
def test_other_paths(shared: Backend, path: str) -> None:
    answer = shared.get(path)
    assert (answer.status, error_of(answer)["code"]) == (404, "not_found")
    assert "/api/v1/versions" in error_of(answer)["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/v1/versions", "/api/v1/versions/v", "/metrics", "/readyz"])
def test_it_only_reads(shared: Backend, reader: MemoryReader, method: str, path: str) -> None:
    answer = shared.ask(method, path)
    assert (answer.status, error_of(answer)["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    assert reader.asked == []


def test_the_first_page_names_what_there_is(shared: Backend) -> None:
    index = json.loads(shared.get("/").body)
    assert index["name"] == "otel-loggedmodel"
    assert "/api/v1/compare" in index["paths"]


def test_questions_wait_for_one_another_up_to_a_number(serve: Callable[..., Backend]) -> None:
    backend = serve(readers=2, waiting_readers=3)
    backend.reader.gate.clear()
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(backend.get("/api/v1/traces").status)) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: backend.server._questions._open == 5)
    assert len(backend.reader.asked) == 2
    answer = backend.get("/api/v1/versions")
    assert (answer.status, error_of(answer)["code"], answer.headers["retry-after"]) == (503, "busy", "1")
    # What needs no store is answered all the same.
    assert backend.get("/readyz").status == 200
    backend.reader.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 5
    assert backend.get("/api/v1/versions").status == 200
    assert backend.metric("otel_loggedmodel_questions_total", code="200") == 6
    assert backend.metric("otel_loggedmodel_questions_total", code="503") == 1


def test_a_question_that_nobody_waits_for_frees_its_place(serve: Callable[..., Backend]) -> None:
    backend = serve(readers=1, waiting_readers=0)
    backend.reader.gate.clear()
    connection = backend.connect()
    connection.request("GET", "/api/v1/traces")
    wait_until(lambda: backend.reader.asked)
    connection.close()
    backend.reader.gate.set()
    wait_until(lambda: backend.server._questions._open == 0)
    assert backend.get("/api/v1/traces").status == 200
