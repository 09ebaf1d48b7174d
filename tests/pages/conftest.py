# SPDX-License-Identifier: Apache-2.0
"""A backend with the synthetic data set, and a browser that looks at its pages."""

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import needs
from backend.serving import Serving
from truth import Traffic, make_traffic

from . import sent

REQUIRED = "OTEL_LOGGEDMODEL_REQUIRE_BROWSER"
TOKEN = "a-token-for-tests"


@dataclass(frozen=True)
class Shop:
    """A backend and what was sent to it.

    Attributes:
        serving: The backend.
        traffic: The synthetic data set.
    """

    serving: Serving
    traffic: Traffic

    @property
    def http(self) -> str:
        return self.serving.http

    def id_of(self, role: str) -> str:
        return self.traffic.versions[role].model_id

    @functools.cached_property
    def paths(self) -> dict[str, str]:
        """Of every page, with something on it."""
        base, slower, hostile = map(self.id_of, ("base", "slower", "hostile_id"))
        return {
            "versions": "/",
            "compare": f"/compare?version={sent.OLD_CHAT}&version={sent.NEW_CHAT}",
            "compare three": f"/compare?version={base}&version={slower}&version={quote(hostile)}",
            "version": f"/version?id={sent.NEW_CHAT}",
            "version of hostile name": f"/version?id={quote(self.id_of('hostile'))}",
            "traces": "/traces?order=slowest",
            "trace": f"/trace?id={sent.OTEL_TRACE}",
            "trace with pictures": f"/trace?id={sent.PICTURES_TRACE}",
            "failed trace": f"/trace?id={sent.FAILED_TRACE}",
            "huge trace": f"/trace?id={sent.BIG_TRACE}",
            "nothing": "/version?id=none",
        }


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One backend for all tests, which only read, or send what others do not look at."""
    folder = tmp_path_factory.mktemp("pages")
    now_ns = time.time_ns()
    traffic = make_traffic(traces=600, end=datetime.now(timezone.utc))
    with Serving(folder / "log", "--data", folder / "data") as serving:
        for body in [*traffic.requests, *sent.requests_of_chats(now_ns), sent.request_of_big_trace(now_ns)]:
            assert serving.post(body).status == 200
        yield Shop(serving, traffic)


# Not for the whole session: while it lasts, an event loop runs in this thread, and other modules have loops of their
# own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        needs.do_without("playwright", "pip install playwright", required_by=REQUIRED)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        needs.do_without("a browser", "apt-get install chromium", required_by=REQUIRED)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


Open = Callable[..., Any]


def follow(page: Any, act: Callable[[], None]) -> None:
    """Do what leads to another page, and wait until all of that is there: its head is shown first."""
    with page.expect_navigation():
        act()


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens an address in a window of its own; whatever a page complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(address: str, *, width: int = 1280, may_complain: bool = False, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        # On a busy machine an answer takes seconds, and is then good for ten times as long.
        page.set_default_timeout(90_000)
        if not may_complain:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        page.wait_for_selector("main", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
