# SPDX-License-Identifier: Apache-2.0
"""The site of the documentation: built without a warning, whole, and of nothing that is elsewhere."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import otel_loggedmodel

from .tools import ROOT, environment


@pytest.fixture(scope="module")
def site() -> Path:
    made = subprocess.run(
        ["make", "docs-site"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout
    return ROOT / "dist" / "site"


class Loaded(HTMLParser):
    """What a browser loads for a page, without a click."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "link" and said.get("rel") not in ("stylesheet", "preload", "icon", "modulepreload"):
            return
        if tag in ("script", "img", "iframe", "link", "source", "video", "audio", "object"):
            self.addresses += [value for name in ("src", "href", "data", "srcset") if (value := said.get(name))]


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 35
    loaded = {address for page in pages for address in Loaded(page.read_text()).addresses}
    assert any(address.endswith(".css") or ".css?" in address for address in loaded)
    assert [one for one in loaded if re.match(r"(https?:)?//", one)] == []
    sheets = [re.sub(r"/\*.*?\*/", "", one.read_text(), flags=re.DOTALL) for one in site.rglob("*.css")]
    assert [
        found for sheet in sheets for found in re.findall(r"url\([\"']?(?:https?:)?//[^)]*|@import[^;]*//", sheet)
    ] == []


def test_every_page_of_the_folder_is_on_the_site(site: Path) -> None:
    folder = ROOT / "docs"
    written = {str(page.relative_to(folder).with_suffix(".html")) for page in folder.rglob("*.md")} - {"README.html"}
    assert written <= {str(page.relative_to(site)) for page in site.rglob("*.html")}


def test_the_reference_has_every_public_name_and_command(site: Path) -> None:
    api = (site / "api.html").read_text()
    ids = {one.rpartition(".")[2] for one in re.findall(r'id="(otel_loggedmodel[\w.]*)"', api)}
    # Of the last four, docs/mlflow-interface.md tells.
    unlisted = {"__version__", "entities", "genai", "MlflowException", "client", "exceptions", "tracking"}
    assert set(otel_loggedmodel.__all__) - unlisted - ids == set()
    commands = re.findall(r"<h2>([\w ]+)<", (site / "commands.html").read_text())
    assert {"serve", "compare", "gate", "mcp", "store backup", "mlflow push"} <= set(commands)


def test_links_out_of_the_folder_lead_to_the_repository(site: Path) -> None:
    links = set(re.findall(r'href="([^"]+)"', "".join(page.read_text() for page in site.rglob("*.html"))))
    repository = "https://github.com/otel-loggedmodel/otel-loggedmodel/blob/main/"
    files = [link.removeprefix(repository) for link in links if link.startswith(repository)]
    assert files
    assert all((ROOT / file).exists() for file in files)
