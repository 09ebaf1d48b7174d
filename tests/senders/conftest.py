# SPDX-License-Identifier: Apache-2.0
"""A backend, and programs that send to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
from backend.serving import Serving

HERE = Path(__file__).resolve().parent
REQUIRED = "OTEL_LOGGEDMODEL_REQUIRE_SENDERS"


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("backend")
    with Serving(folder / "log", "--data", folder / "data") as started:
        yield started
        assert "Traceback" not in started.log


# Not for the whole session: while it lasts, an event loop runs in this thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        needs.do_without("Chromium", "apt-get install chromium", required_by=REQUIRED)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
