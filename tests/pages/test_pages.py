# SPDX-License-Identifier: Apache-2.0
"""The pages as a browser shows them."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from effort import only_in_full, some
from planted_versions import HOSTILE

from . import sent
from .conftest import Open, Shop, axe_complaints, follow

IS_IT_BETTER = re.compile("Is 2222222 better than 1111111")
PAGES = [
    # One of each template.
    *("versions", "compare", "version", "traces", "trace"),
    *("compare three", "version of hostile name", "trace with pictures", "failed trace", "huge trace"),
]


def texts(page: Any, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def row_of(page: Any, table: str, head: str) -> list[str]:
    """The cells of the row of a table that begins so."""
    begins = re.compile(rf"^\s*{re.escape(head)}(\s|$)")
    row = page.locator(f"{table} tbody tr").filter(has=page.locator("th", has_text=begins)).first
    return [" ".join(cell.split()) for cell in row.locator("td").all_inner_texts()]


@pytest.mark.parametrize("name", some(PAGES, quick=3))
def test_every_page_is_shown_without_a_complaint_of_the_browser(shop: Shop, open_page: Open, name: str) -> None:
    page = open_page(shop.http + shop.paths[name])
    assert page.locator("h1").count() == 1
    assert page.locator("section").count() >= 1
    # All of it came with what was asked for: nothing from elsewhere, no style or script in the page.
    assert page.locator("[style], style, script:not([src]), [onclick], [onload]").count() == 0
    assert page.title().endswith("- otel-loggedmodel")


# The questions that a new user has, from the first page


def test_the_first_page_says_what_is_live(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)
    running = page.locator("#live-now tbody tr", has=page.locator(f"code[title='{sent.NEW_CHAT}']"))
    assert running.locator("td").first.inner_text() == "100 %"
    row = page.locator("#versions tr", has=page.locator(f"input[value='{sent.NEW_CHAT}']"))
    assert row.locator(".tag.deployed").count() == 1
    old = page.locator("#versions tr", has=page.locator(f"input[value='{sent.OLD_CHAT}']"))
    assert old.locator(".tag.deployed").count() == 0


def test_the_numbers_of_the_first_page_are_the_truth(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)
    for role in ("base", "failing", "few", "referred_first", "hostile"):
        truth = shop.traffic.truth(shop.id_of(role))
        row = page.locator("tr", has=page.locator(f"input[value='{shop.id_of(role)}']"))
        cells = [" ".join(cell.split()) for cell in row.locator("td").all_inner_texts()]
        assert cells[2] == f"{truth.traces:,}"
        assert cells[3] == f"{truth.error_rate * 100:.1f} %"
        tokens = (truth.tokens.input_per_trace or 0) + (truth.tokens.output_per_trace or 0)
        assert float(cells[7].replace(",", "")) == pytest.approx(tokens, rel=0.005)
        assert float(cells[8].lstrip("$")) == pytest.approx(truth.cost_usd_per_trace * 1000, rel=0.01)
        assert f"helpfulness {truth.scores['helpfulness'].mean:.3g}" in cells[9]


def test_one_click_answers_whether_the_live_version_is_better_and_what_changed(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)
    follow(page, page.get_by_role("link", name=IS_IT_BETTER).first.click)
    assert row_of(page, "#metrics", "latency p50")[3].endswith("better")
    assert "faster (-" in page.locator("h1").inner_text()
    groups = page.locator("#groups .group").all_inner_texts()
    assert [text.split()[0] for text in groups] == ["Quality", "Errors", "Speed", "Cost"]
    assert "better" in page.locator("#groups .group", has_text="Speed").locator(".pill").inner_text()
    changes = dict(zip(texts(page, "#made dt"), texts(page, "#made dd"), strict=True))
    assert changes["temperature"].split() == ["0.7", "0.2"]
    assert page.locator("#made ins", has_text="at most three sentences").count() == 1
    assert page.locator("#made del", has_text="one sentence").count() == 1
    page.get_by_text("B: what was not committed").click()
    assert "+retries = 3" in page.locator("#diff-1").inner_text()


def test_two_clicks_show_why_it_is_slower_and_a_bad_trace(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)
    follow(page, page.get_by_role("link", name=IS_IT_BETTER).first.click)
    assert row_of(page, "#operations", "chat gpt-4o-mini")[1].endswith("ms")
    assert row_of(page, "#errors", "TimeoutError")[0].startswith("6")
    follow(page, page.locator("#errors a").last.click)
    assert "TimeoutError" in page.locator("#span").inner_text()
    assert "timed out" in page.locator("#span .failure").inner_text()


# Versions


def test_versions_are_found_by_name_tag_and_service(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)
    page.get_by_label("Tag").fill("role=slower")
    follow(page, page.get_by_role("button", name="Show").click)
    assert "tag=role" in page.url
    assert page.locator("#versions input[type=checkbox]").count() == 1
    assert page.locator(f"input[value='{shop.id_of('slower')}']").count() == 1
    page = open_page(f"{shop.http}/?service=chat-agent")
    assert {one.get_attribute("value") for one in page.locator("#versions input[type=checkbox]").all()} == {
        sent.OLD_CHAT,
        sent.NEW_CHAT,
    }
    page = open_page(f"{shop.http}/?text=no+such")
    assert "No version matches" in page.locator("main").inner_text()


def test_what_is_ticked_is_compared_in_the_chosen_time(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/?since=30d")
    for role in ("slower", "base"):
        page.locator(f"input[value='{shop.id_of(role)}']").check()
    follow(page, page.get_by_role("button", name="Compare what is ticked").click)
    assert "since=30d" in page.url
    assert page.locator("#decision .ver").count() == 2


def test_a_version_is_compared_with_the_one_made_before_it(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/version?id={sent.NEW_CHAT}")
    follow(page, page.get_by_role("link", name="Compare with the one before").click)
    assert page.url.endswith(f"version={sent.OLD_CHAT}&version={sent.NEW_CHAT}")
    page = open_page(f"{shop.http}/version?id={sent.OLD_CHAT}")
    assert page.get_by_role("link", name="Compare with the one before").count() == 0


# Comparison


def test_a_comparison_shows_what_is_planted(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/compare?version={shop.id_of('base')}&version={shop.id_of('failing')}")
    truth = shop.traffic.truth(shop.id_of("failing"))
    row = row_of(page, "#metrics", "errors")
    assert row[:2] == [str(shop.traffic.truth(shop.id_of("base")).errors), str(truth.errors)]
    assert "worse" not in row_of(page, "#metrics", "latency p50")[3]
    assert page.locator("#latency .chart .area").count() == 2
    assert page.locator("#time .chart").count() == 8  # two of them of scores
    assert page.locator("#time .mark").count() >= 2
    assert page.locator("#metrics svg.interval").count() >= 8
    assert page.locator("h1").inner_text().endswith(": within chance")
    assert row_of(page, "#metrics", "error rate")[3] == "?unknown: within chance"
    assert "cannot tell within chance" in " ".join(page.locator(".gate").inner_text().split())


@only_in_full
def test_every_value_of_a_chart_can_be_read(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}{shop.paths['compare']}")
    chart = page.locator("#time figure").first
    area = chart.locator(".said").last
    # What the browser shows for what is under the mouse is the title of what is there.
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    under = "([x, y]) => document.elementFromPoint(x, y).querySelector('title').textContent"
    title = page.evaluate(under, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    time, *values = title.split("\n")
    assert values
    chart.get_by_text("As a table").click()
    *_, last = texts(chart, "tbody tr")
    assert last.split("\t")[0] == time
    assert [value.rpartition(": ")[2] for value in values] == [text for text in last.split("\t")[1:] if text != "-"]
    assert page.locator("#latency .said title").first.text_content().count("%") == 2
    assert "95 % interval" in page.locator("#metrics svg.interval title").first.text_content()


@only_in_full
def test_an_address_brings_the_same_page_to_somebody_else(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/compare?version={shop.id_of('base')}&version={shop.id_of('slower')}")
    page.get_by_label("Since").select_option("7d")
    page.get_by_label("Service").fill("assistant-api")
    follow(page, page.get_by_role("button", name="Show").click)
    assert "service=assistant-api" in page.url
    shown = page.locator("#metrics").inner_text()
    traces = shop.traffic.truth(shop.id_of("base"), service="assistant-api").traces
    assert row_of(page, "#metrics", "traces")[0] == str(traces)
    assert open_page(page.url).locator("#metrics").inner_text() == shown


# A version


def test_a_version_says_all_there_is_to_it(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/version?id={sent.NEW_CHAT}")
    assert sent.NEW_CHAT in page.locator("#summary").inner_text()
    assert page.title() == f"{sent.CHAT} 2222222 {sent.NEW_CHAT[-8:]} - otel-loggedmodel"
    assert "2" * 40 in page.locator("#summary").inner_text()
    assert "Never promise a refund." in page.locator("#made").inner_text()
    assert f"export OTEL_LOGGEDMODEL_ID={sent.NEW_CHAT}" in page.locator("#deploy").inner_text()
    assert "deployment.environment.name production" in page.locator("#places").inner_text()
    assert [row.split("\t")[1] for row in texts(page, "#history tbody tr")] == ["activated", "created"]
    assert page.locator("#traces table").count() == 4
    slowest = texts(page, "#traces table >> nth=0 >> td.tk")
    assert slowest == sorted(slowest, key=lambda text: -float(text.split()[0].replace(",", "")))
    assert all("failed" in text for text in texts(page, "#traces table >> nth=3 >> tbody td:first-child"))


def test_the_lines_that_deploy_it_are_copied(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/version?id={sent.NEW_CHAT}", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#deploy-shell button.copy").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"export OTEL_LOGGEDMODEL_ID={sent.NEW_CHAT}\n")


# A trace


@pytest.mark.parametrize(
    ("trace_id", "answer", "tool", "tokens"),
    [
        (sent.OTEL_TRACE, "It is in Graz.", '"parcel": "P-77"', ("21", "6")),
        (sent.OPENINFERENCE_TRACE, "It is in Linz.", '"parcel": "P-78"', ("31", "7")),
        (sent.OPENLLMETRY_TRACE, "It is in Wien.", '"parcel": "P-79"', ("41", "8")),
    ],
    ids=["OpenTelemetry", "OpenInference", "OpenLLMetry"],
)
def test_messages_are_read_in_every_convention(
    shop: Shop, open_page: Open, trace_id: str, answer: str, tool: str, tokens: tuple[str, str]
) -> None:
    page = open_page(f"{shop.http}/trace?id={trace_id}")
    assert answer in page.locator(".message-output").inner_text()
    messages = page.locator(".messages").inner_text()
    assert "Be brief." in messages
    assert "Where is my parcel?" in messages
    assert tool in messages
    assert f"{tokens[0]} → {tokens[1]}" in page.locator("tr.selected").inner_text()
    assert "It names the town." in page.locator("#scores").inner_text()


def test_a_span_shows_all_that_it_carries(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/trace?id={sent.OTEL_TRACE}")
    page.locator("#attributes summary").click()
    assert row_of(page, "#attributes", "gen_ai.request.model") == ["gpt-4o-mini"]
    follow(page, page.get_by_role("link", name="POST /chat").click)
    assert "span=" in page.url
    assert page.locator("#span-heading").inner_text() == "POST /chat"


@only_in_full
def test_ten_thousand_spans_stay_usable(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/trace?id={sent.BIG_TRACE}")
    assert "10,000 spans" in page.locator("#summary").inner_text()
    assert page.locator(".waterfall tbody tr").count() == 500
    follow(page, page.get_by_role("link", name="Next").click)
    assert "page=2" in page.url
    assert page.locator(".waterfall tbody tr").count() == 500
    page.get_by_label("Find in spans").fill("step 9876")
    follow(page, page.get_by_role("button", name="Show").click)
    assert "text=step" in page.url
    assert texts(page, ".waterfall tbody th a") == ["step 9876"]
    follow(page, page.locator(".waterfall tbody a").click)
    assert "span=" in page.url
    assert page.locator("#span-heading").inner_text() == "step 9876"


# What is stored may be hostile


@only_in_full
def test_hostile_texts_are_only_texts(shop: Shop, open_page: Open) -> None:
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\n", " ").replace("\t", " ")
    wanted = " ".join(shown.split())
    for path in ("/", f"/version?id={quote(shop.id_of('hostile'))}", f"/trace?id={sent.OTEL_TRACE}"):
        page = open_page(shop.http + path)
        assert wanted in " ".join(page.locator("main").inner_text().split())
        assert page.locator("main script").count() == 0
    page = open_page(f"{shop.http}/version?id={quote(shop.id_of('hostile_id'))}")
    assert "<script>alert" in page.locator("h1").inner_text()
    page = open_page(f"{shop.http}/trace?id={sent.FAILED_TRACE}")
    assert "<script>alert" in page.locator("#span").inner_text()


def test_a_mistake_in_an_address_is_told(shop: Shop, open_page: Open) -> None:
    for path, text in (
        ("/version?id=none", "there is no version 'none'"),
        ("/trace?id=%3Cscript%3E", "there is no trace '<script>'"),
        ("/compare?rows=x", "Which two versions?"),
        ("/?since=never", "'never' is no time"),
        ("/?nme=x", "nme"),
        ("/traces?page=-1", "page is '-1'"),
    ):
        page = open_page(shop.http + path, may_complain=True)
        assert text in page.locator("main").inner_text()


# Everybody can use it


@pytest.mark.parametrize("name", some([*PAGES, "nothing"]))
def test_axe_finds_nothing_to_complain_of(shop: Shop, open_page: Open, name: str) -> None:
    assert axe_complaints(lambda **options: open_page(shop.http + shop.paths[name], **options)) == []


def test_the_keyboard_is_enough(shop: Shop, open_page: Open) -> None:
    page = open_page(shop.http)

    def focused() -> str:
        text = page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
        return " ".join(text.split())

    def walk_to(text: str, most: int = 200) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if text in focused():
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"it does not show that {text} has the focus"
                return
        raise AssertionError(f"the focus never came to {text}")

    def enter() -> None:
        page.keyboard.press("Enter")

    page.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    page.keyboard.press("Enter")
    walk_to("better than 1111111?")
    follow(page, enter)
    walk_to("newest with TimeoutError of A")
    follow(page, enter)
    walk_to("POST /chat")
    follow(page, enter)
    assert "span=" in page.url


@pytest.mark.parametrize("name", some(PAGES, quick=5))
def test_a_narrow_window_scrolls_in_one_direction(shop: Shop, open_page: Open, name: str) -> None:
    page = open_page(shop.http + shop.paths[name], width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_everything_can_be_read_without_scripts(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/", java_script_enabled=False)
    assert page.locator(f"input[value='{sent.NEW_CHAT}']").count() == 1
    assert not page.locator("#live").is_visible()
    assert not page.locator(".loading").is_visible()


# What is new


@only_in_full
def test_new_spans_appear_and_leave_alone_what_somebody_does(shop: Shop, open_page: Open) -> None:
    version = "live-v1"
    shop.serving.post(sent.request_of_answer(version))
    page = open_page(shop.http)
    row = page.locator("tr", has=page.locator(f"input[value='{version}']"))
    row.locator("td[data-k=traces]").filter(has_text="1").wait_for()
    page.locator(f"input[value='{sent.OLD_CHAT}']").check()
    page.locator(f"input[value='{shop.id_of('base')}']").focus()
    page.get_by_label("Tag").fill("half written")
    page.locator(f"input[value='{shop.id_of('base')}']").focus()
    shop.serving.post(sent.request_of_answer(version))
    row.locator("td[data-k=traces]").filter(has_text="2").wait_for()
    assert page.locator(f"input[value='{sent.OLD_CHAT}']").is_checked()
    assert page.get_by_label("Tag").input_value() == "half written"
    assert page.evaluate("document.activeElement.value") == shop.id_of("base")
    assert page.locator("#said").inner_text().startswith("Updated")


@only_in_full
def test_nothing_moves_while_it_is_held(shop: Shop, open_page: Open) -> None:
    version = "held-v1"
    shop.serving.post(sent.request_of_answer(version))
    page = open_page(f"{shop.http}/version?id={version}")
    button = page.get_by_role("button", name="Live")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    shop.serving.post(sent.request_of_answer(version))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    # Twice the time after which it would have asked.
    page.wait_for_timeout(7000)
    assert asked == []
    button.click()
    page.locator("#numbers dd").first.filter(has_text="2").wait_for()
