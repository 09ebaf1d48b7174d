# SPDX-License-Identifier: Apache-2.0
"""A backend, and programs that send to it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from backend.serving import Serving

REQUIRED = "OTEL_LOGGEDMODEL_REQUIRE_SENDERS"


def do_without(reason: str) -> NoReturn:
    """Skip, unless these tests are required here."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but: {reason}")
    pytest.skip(reason)


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
        do_without("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


HERE = Path(__file__).resolve().parent
