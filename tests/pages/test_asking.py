# SPDX-License-Identifier: Apache-2.0
"""The questions of the command line, asked in Python, against a real backend."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import otel_loggedmodel
from effort import only_in_full
from otel_loggedmodel.store.reading import UnknownVersionError
from planted_versions import HOSTILE

from . import sent
from .conftest import Open, Shop


def as_xml(html: str) -> ET.Element:
    """The pieces of HTML that a notebook gets, which are well-formed."""
    return ET.fromstring(f"<html>{html.replace('&nbsp;', ' ')}</html>")


def test_a_comparison_is_a_sentence_a_frame_and_a_file(shop: Shop, tmp_path: Path) -> None:
    result = otel_loggedmodel.compare(sent.OLD_CHAT[-8:], sent.NEW_CHAT[-8:], since="30d", store=shop.http)
    assert "faster" in repr(result)
    assert result.groups["speed"] == "better"
    frame = result.to_frame()
    assert frame.loc["latency_ms.p50", f"verdict on {sent.CHAT} 2222222 {sent.NEW_CHAT[-8:]}"] == "better"
    result.save(tmp_path / "comparison.html")
    assert "<h1>" in (tmp_path / "comparison.html").read_text(encoding="utf-8")
    shown = as_xml(result._repr_html_())
    texts = [" ".join("".join(row.itertext()).split()) for row in shown.iter("tr")]
    assert any(text.startswith("latency p50") and "better" in text for text in texts)
    assert [one.get("alt") for one in shown.iter("img")] == [result.sentence, "Distribution of latency"]
    link = shown.find(".//a")
    assert link is not None
    assert link.get("href") == f"{shop.http}/compare?version={sent.OLD_CHAT}&version={sent.NEW_CHAT}"


def test_pictures_stand_alone_and_say_what_they_show(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    result = otel_loggedmodel.compare(sent.OLD_CHAT, sent.NEW_CHAT, since="30d", store=shop.http)
    plots = result.plots()
    assert {"decision", "Distribution of latency", "Latency p95", "Error rate"} <= {*plots}
    for plot in plots.values():
        drawn = ET.fromstring(plot._repr_svg_())
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert not re.findall(r"url\(|@import|<script|href=|<foreignObject", plot.svg)
    result.save(tmp_path / "decision.svg")
    assert (tmp_path / "decision.svg").read_text(encoding="utf-8") == plots["decision"].svg
    texts = [
        "".join(one.itertext()) for one in ET.fromstring(plots["decision"].svg).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"Quality", "Errors", "Speed", "Cost", "✓ better"} <= {*texts}
    shown = "".join(f'<p><img alt="{number}" src="{number}.svg"></p>' for number in range(len(plots)))
    for number, plot in enumerate(plots.values()):
        plot.save(tmp_path / f"{number}.svg")
    (tmp_path / "all.html").write_text(f"<main>{shown}</main>")
    page = open_page((tmp_path / "all.html").as_uri())
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth === 960)")


@only_in_full
@pytest.mark.parametrize("roles", [("hostile",), ("hostile", "base", "slower"), ("base", "hostile")])
def test_pictures_of_hostile_names_and_of_other_numbers_of_versions(shop: Shop, roles: tuple[str, ...]) -> None:
    result = otel_loggedmodel.compare(*map(shop.id_of, roles), store=shop.http)
    for plot in result.plots().values():
        drawn = ET.fromstring(plot.svg)
        assert not [one for one in drawn.iter() if one.tag.endswith("script")]
    decision = ET.fromstring(result.plots()["decision"].svg)
    assert len([one for one in decision.iter() if one.text == "Quality"]) == len(roles) - 1


def test_what_the_page_prints_runs_as_printed(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "notebook.md"
    (snippet,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    snippet = snippet.replace("my-agent-v1", sent.OLD_CHAT).replace("my-agent-v2", sent.NEW_CHAT)
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", shop.http)
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    assert (tmp_path / "comparison.html").exists()


def test_versions_are_listed_with_their_use(shop: Shop) -> None:
    found = otel_loggedmodel.list_versions(name=sent.CHAT, params={"temperature": "0.2"}, store=shop.http)
    assert [version.model_id for version in found] == [sent.NEW_CHAT]
    assert found.to_frame().loc[sent.NEW_CHAT, "traces"] == found[0].traces > 0
    assert repr(found).startswith(f"{sent.CHAT} 2222222 {sent.NEW_CHAT[-8:]}: ")
    assert len(otel_loggedmodel.list_versions(max_results=2, store=shop.http)) == 2
    assert not otel_loggedmodel.list_versions(name=sent.CHAT, tags={"team": "none"}, store=shop.http)


def test_hostile_names_are_only_texts(shop: Shop) -> None:
    found = otel_loggedmodel.list_versions(store=shop.http)
    shown = as_xml(found._repr_html_())
    assert not list(shown.iter("script"))
    assert HOSTILE[:8] in "".join(shown.itertext())


def test_what_is_asked_wrongly_says_what_to_do(shop: Shop) -> None:
    with pytest.raises(UnknownVersionError, match="there is no version 'none'"):
        otel_loggedmodel.compare("none", store=shop.http)
    with pytest.raises(ValueError, match="'never' is no time"):
        otel_loggedmodel.compare(sent.OLD_CHAT, since="never", store=shop.http)
