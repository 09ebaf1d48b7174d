# SPDX-License-Identifier: Apache-2.0
"""A page in Chromium that sends with the JavaScript SDK's own exporters, to a backend that names it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from asking import Answer, ask
from backend.serving import Serving
from integrations.situations import Page

from .building import ESBUILD, NPM_INSTALL, built
from .conftest import HERE
from .story import LATE_MS, check_javascript

TOKEN = "a-token-for-tests"


class Pages(ThreadingHTTPServer):
    """Serves the page, at an origin of its own."""

    def __init__(self, script: bytes) -> None:
        self.script = script
        super().__init__(("127.0.0.1", 0), _PageHandler)
        self.origin = f"http://localhost:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        super().__exit__(*exception)


class _PageHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_script = self.path == "/bundle.js"
        page = b"<!doctype html><link rel=icon href=data:,><title>a page</title><script src=/bundle.js></script>"
        body = self.server.script if is_script else page
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if is_script else "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def bundle() -> bytes:
    sources = {"story.mjs": (HERE / "story.mjs").read_text(), "page.mjs": Page("another-language").files["page.mjs"]}
    return built("browser", [NPM_INSTALL, (*ESBUILD, "--outfile=bundle.js")], "bundle.js", sources).read_bytes()


@pytest.fixture(scope="module")
def pages(bundle: bytes) -> Iterator[tuple[Pages, Pages]]:
    """Two origins: one is named to the backend, the other is not."""
    with Pages(bundle) as named, Pages(bundle) as other:
        yield named, other


@pytest.fixture(scope="module")
def backend(pages: tuple[Pages, Pages], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("named")
    options = ("--data", folder / "data", "--allow-origin", pages[0].origin)
    with Serving(folder / "log", *options, OTEL_LOGGEDMODEL_TOKEN=TOKEN) as started:
        yield started


def send(chromium: Any, origin: str, url: str, **options: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    """What the page says that it sent, what its SDK complained of, and what its console shows."""
    shown: list[str] = []
    page = chromium.new_page()
    page.on("console", lambda message: shown.append(message.text))
    page.goto(origin)
    settings = {"encoding": "json", "headers": {"authorization": f"Bearer {TOKEN}"}, "limit": 20, **options}
    outcome = page.evaluate("(settings) => send(settings)", {"url": url, "lateMs": LATE_MS, **settings})
    page.close()
    return outcome["told"], outcome["said"], shown


def stored(backend: Serving, told: dict[str, Any]) -> Answer:
    trace_id = told["request"]["traceId"]
    return ask(backend.http, "GET", f"/api/v1/traces/{trace_id}", headers={"authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("limit", [20, None], ids=["cut at 20", "uncut"])
@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_page_that_is_named_sends(
    chromium: Any, pages: tuple[Pages, Pages], backend: Serving, encoding: str, limit: int | None
) -> None:
    told, said, shown = send(chromium, pages[0].origin, f"{backend.http}/v1/traces", encoding=encoding, limit=limit)
    assert (said, shown) == ([], [])
    trace = json.loads(stored(backend, told).body)
    check_javascript(trace, told, limit=limit, service="page")


def test_a_page_sends_as_the_documentation_says(chromium: Any, pages: tuple[Pages, Pages], tmp_path: Path) -> None:
    origin = pages[0].origin
    with Serving(tmp_path / "log", "--data", tmp_path / "data", "--allow-origin", origin) as backend:
        page = chromium.new_page()
        # The port is another here.
        here = f"{backend.http}/v1/traces"
        page.route("http://localhost:4318/v1/traces", lambda route: route.continue_(url=here))
        page.goto(origin)
        trace_id = page.evaluate("sendAsDocumented()")
        page.close()
        [span] = backend.get(f"/api/v1/traces/{trace_id}")["spans"]
        assert (span["name"], span["service"], span["model_id"]) == ("as documented", "shop", "shop-v2")
        assert backend.trace_ids("shop-v2") == [trace_id]


def test_a_page_that_is_not_named_stores_nothing(chromium: Any, pages: tuple[Pages, Pages], backend: Serving) -> None:
    told, said, shown = send(chromium, pages[1].origin, f"{backend.http}/v1/traces")
    assert "has been blocked by CORS policy" in shown[0]
    assert said
    assert stored(backend, told).status == 404


@pytest.mark.parametrize(
    ("path", "token", "status"), [("/v1/traces", "wrong", 401), ("/", TOKEN, 404), ("/v1/traces/", TOKEN, 404)]
)
def test_a_page_that_is_named_is_told_what_is_wrong(
    chromium: Any, pages: tuple[Pages, Pages], backend: Serving, path: str, token: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {token}"}
    _, said, shown = send(chromium, pages[0].origin, f"{backend.http}{path}", headers=headers)
    # The browser lets the page see the answer.
    assert shown == [f"Failed to load resource: the server responded with a status of {status} ({REASONS[status]})"]
    assert said


REASONS = {401: "Unauthorized", 404: "Not Found"}
