# SPDX-License-Identifier: Apache-2.0
"""A backend with the synthetic data set, and a browser that looks at its pages."""

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
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
        # Requests that are joined are one request, which is stored at the cost of one.
        for body in (
            b"".join([*traffic.requests, *sent.requests_of_chats(now_ns), *sent.requests_of_long_texts(now_ns)]),
            sent.request_of_big_trace(now_ns),
        ):
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


def axe_complaints(open_it: Callable[..., Any]) -> list[tuple[str, str, str]]:
    """What axe says of a page, in light and in dark: the rule, the element, and what is wrong with it."""
    axe = pytest.importorskip("axe_playwright_python.base").AXE_FILE_PATH.read_text(encoding="utf-8")
    page = open_it(bypass_csp=True, may_complain=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.evaluate(axe)
    found = []
    # In the dark, only the colours are other ones.
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
        answer = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **rules})
        found += answer["violations"]
    # In a narrow window more of it scrolls.
    page.set_viewport_size({"width": 390, "height": 844})
    options = {"resultTypes": ["violations"], "runOnly": ["scrollable-region-focusable"]}
    found += page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found]


class Tabs:
    """Tabs that tests use one after the other, as each new one would be a new process.

    Args:
        window: The browser's context that they are in.
    """

    def __init__(self, window: Any) -> None:
        self._window = window
        self._tabs: list[Any] = []
        self._used = 0

    def next(self) -> Any:
        """One that this test has not used yet."""
        if self._used == len(self._tabs):
            self._tabs.append(self._window.new_page())
            # On a busy machine an answer takes seconds, and is then good for ten times as long.
            self._tabs[-1].set_default_timeout(90_000)
        self._used += 1
        return self._tabs[self._used - 1]

    def forget(self) -> None:
        """Leave nothing of a test that the next could find: no page, no answer that was kept, no cookie."""
        if self._used:
            for tab in self._tabs[: self._used]:
                tab.goto("about:blank")
            session = self._window.new_cdp_session(self._tabs[0])
            session.send("Network.clearBrowserCache")
            session.detach()
            self._window.clear_cookies()
            self._used = 0


@pytest.fixture(scope="module")
def windows(chromium: Any) -> Callable[[dict[str, Any]], Tabs]:
    """The tabs in a window with these options, for the tests of a module."""
    known: dict[str, Tabs] = {}

    def window(options: dict[str, Any]) -> Tabs:
        key = repr(sorted(options.items()))
        if key not in known:
            known[key] = Tabs(chromium.new_context(**options))
        return known[key]

    return window


@pytest.fixture
def open_page(windows: Callable[[dict[str, Any]], Tabs]) -> Iterator[Open]:
    """Opens an address in a tab of its own; whatever a page complains of fails the test."""
    used: list[Tabs] = []
    listening: list[tuple[Any, str, Callable[[Any], object]]] = []
    complaints: list[str] = []

    def listen(page: Any) -> None:
        for event, note in (
            ("console", lambda message: complaints.append(message.text)),
            ("pageerror", lambda error: complaints.append(str(error))),
            ("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss())),
        ):
            page.on(event, note)
            listening.append((page, event, note))

    def open_page(address: str, *, width: int = 1280, may_complain: bool = False, **options: Any) -> Any:
        tabs = windows(options)
        used.append(tabs)
        page = tabs.next()
        page.set_viewport_size({"width": width, "height": 900})
        if not may_complain:
            listen(page)
        page.goto(address)
        page.wait_for_selector("main", state="attached")
        return page

    yield open_page
    for page, event, note in listening:
        page.remove_listener(event, note)
    for tabs in used:
        tabs.forget()
    assert complaints == []
