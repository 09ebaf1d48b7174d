# SPDX-License-Identifier: Apache-2.0
"""Ways through the pages: there and back again, on a phone, and from a page into a shell."""

import re
import shlex
import xml.etree.ElementTree as ET
from urllib.parse import parse_qsl, urlsplit

import pytest

from backend.serving import command
from otel_loggedmodel.pages import picture, runs, traces, versions
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.chart_results import Activity, Deployment, Point
from otel_loggedmodel.store.results import Score
from otel_loggedmodel.store.run_results import Run

from . import sent
from .conftest import Open, Shop, follow


def test_a_trace_leads_back_to_the_list_that_it_was_opened_from(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?version={sent.NEW_CHAT}&order=slowest&text=parcel")
    listed = page.url
    follow(page, page.locator("#found tbody th a").first.click)
    # Whatever is looked at of the trace.
    follow(page, page.locator("#waterfall tbody th a").last.click)
    follow(page, page.locator("#summary").get_by_role("link", name="Traces").click)
    assert dict(parse_qsl(urlsplit(page.url).query)) == dict(parse_qsl(urlsplit(listed).query))
    # One that was not opened from a list leads to those of its version.
    page.goto(f"{shop.http}/trace?id={sent.OTEL_TRACE}")
    back = page.locator("#summary p a").first.get_attribute("href") or ""
    assert back.startswith("/traces?version=")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("version=a&order=worst&page=2", "version=a&order=worst&page=2"),
        ("text=%22%3E%3Cscript%3E", "text=%22%3E%3Cscript%3E"),
        ("//elsewhere.example/?x=1", ""),
        ("id=1&next=https://elsewhere.example", ""),
        ("text=" + "x" * 5000, "text=" + "x" * 1995),
        ("%zz&&&=", ""),
    ],
)
def test_the_way_back_is_a_list_of_traces_whatever_the_address_says(given: str, kept: str) -> None:
    assert traces.list_of(given) == kept


def test_texts_that_break_nowhere_make_no_page_scroll_sideways(shop: Shop, open_page: Open) -> None:
    first, second = sent.LONG
    page = open_page(shop.http)
    for path in (
        "/?text=nnnn",
        f"/compare?version={first}&version={second}",
        f"/version?id={first}",
        f"/traces?version={first}&version={second}&text=WWW",
        f"/trace?id=0{'c' * 31}",
        f"/version?id={sent.NEW_CHAT}",
    ):
        page.goto(shop.http + path)
        for width in (1440, 1024, 700, 390, 320):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_filters_are_folded_on_a_phone(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?version={sent.NEW_CHAT}", width=390)
    assert page.locator("#filters summary").inner_text() == "Filters: 1"
    assert not page.get_by_label("Route or entry span").is_visible()
    assert page.locator("#found tbody tr").first.bounding_box()["y"] < 500
    page.locator("#filters summary").click()
    assert page.get_by_label("Route or entry span").is_visible()


def test_the_lines_of_a_comparison_are_pasted_into_a_shell(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/compare?version={sent.OLD_CHAT}&version={sent.NEW_CHAT}")
    gate, deploy, keep = page.locator("#next pre").all_inner_texts()
    assert f"--store {shop.http}" in gate
    assert f"--store {shop.http}" in deploy
    assert f"--store {shop.http}" in keep
    program, *arguments = shlex.split(gate)
    ran = command(*arguments)
    assert program == "otel-loggedmodel"
    assert ran.returncode in (0, 1), ran.stderr
    # The button does not cover what it copies.
    for code in page.locator("#next .code").all():
        text, button = code.locator("pre").bounding_box(), code.locator("button").bounding_box()
        assert text["x"] + text["width"] <= button["x"]


def test_one_persons_feedback_takes_no_place_from_an_evaluation() -> None:
    place = versions.Place(
        "shop", "", [(Deployment(model_id=one, service="shop"), Title(model_id=one)) for one in ("a", "b")], None
    )

    def lead(**scores: dict[str, int]) -> str:
        activities = {
            one: Activity(
                model_id=one,
                total=Point(start_ms=0),
                scores={name: Score(mean=1.0, count=count) for name, count in of_version.items()},
            )
            for one, of_version in scores.items()
        }
        return versions._lead_score(place, activities)

    assert lead(a={"correct": 30, "feedback": 1}) == "correct"
    assert lead(a={"correct": 30, "feedback": 40}, b={"correct": 30}) == "correct"
    assert lead(a={"feedback": 1}) == "feedback"
    assert lead(a={"correct": 0}) == lead() == ""


def test_runs_are_listed_with_what_tells_their_versions_apart() -> None:
    found = [
        Run(run_id=letter * 32, name=f"run {letter}", model_id=f"m-{letter * 32}", version_name="bot", start_ms=0)
        for letter in "abc"
    ]
    titles = {run.model_id or "": Title(model_id="", name="bot", label=run.run_id[0]) for run in found[:2]}
    (table,) = runs.tables_of(found, titles=titles)
    assert [shown.version for shown in table.runs] == ["bot a", "bot b", "bot"]
    assert [shown.title for shown in table.runs] == ["run a", "run b", "run c"]


@pytest.mark.parametrize("values", [("1", "2"), ("$0.000000154", "$0.0000001549"), ("18.33 %", "1.25 %")])
def test_values_of_a_picture_stay_in_their_column(values: tuple[str, str]) -> None:
    squeezed = picture._squeezed(values, 204)
    length = re.search(r'textLength="(\d+)"', squeezed)
    # As wide as letters are in the widest font that has to be reckoned with.
    assert (12 * (sum(map(len, values)) + 3) <= 204) == (length is None)
    assert length is None or int(length[1]) <= 204
    ET.fromstring(f"<text {squeezed}/>")
