# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of docs/images/ that show the demo: the versions, the comparison, the traces, the slowest of them.

    make demo && .venv/bin/python scripts/take_pictures.py

It serves what the last demo left, and needs Chromium and the usual port, as pages name any other one in the lines that
they give. `rows.png` shows a data set, which the demo does not have.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DATA = ROOT / ".venv" / "demo" / "data"
# How much of each page is shown: what it is for.
_WIDTH = 1280
_HEIGHTS = {"versions": 560, "compare": 1000, "traces": 900, "trace": 960}


def main() -> int:
    """Take them; 0 if all were."""
    data = sys.argv[1] if len(sys.argv) > 1 else str(DATA)
    command = [sys.executable, "-m", "otel_loggedmodel", "serve", "--data", data, "--no-grpc"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as backend:
        assert backend.stdout is not None
        try:
            take(json.loads(backend.stdout.readline())["http"])
        finally:
            backend.terminate()
    return 0


def take(address: str) -> None:
    """Open each page, and keep what is in the window."""
    from playwright.sync_api import sync_playwright

    with urllib.request.urlopen(f"{address}/api/v1/traces?limit=1&order=slowest", timeout=60) as answer:
        slowest = json.load(answer)["traces"][0]["trace_id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        keep(page, "versions")
        page.get_by_role("link", name="better than").first.click()
        page.wait_for_selector("#groups")
        keep(page, "compare")
        page.goto(f"{address}/traces")
        page.wait_for_selector("#found")
        keep(page, "traces")
        page.goto(f"{address}/trace?id={slowest}")
        keep(page, "trace")
        browser.close()


def keep(page: "Page", name: str) -> None:
    """Keep what a window shows of a page."""
    page.set_viewport_size({"width": _WIDTH, "height": _HEIGHTS[name]})
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
