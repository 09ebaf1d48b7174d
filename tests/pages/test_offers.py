# SPDX-License-Identifier: Apache-2.0
"""What the list of traces offers to be narrowed to."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from otel_loggedmodel.pages.narrowing import offers, total, version_offers
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import Facets, FacetValue

from . import sent
from .conftest import Open, Shop, follow


def offered(found: Facets, given: list[tuple[str, str]] | None = None) -> dict[str, dict[str, int]]:
    titles = {one: Title(model_id=one, name="bot", label=one[-2:], stage="") for one in ("m-v1", "m-v2")}
    made = offers(given or [], titles, found)
    return {title: {one.label: one.count for one in offered} for title, offered in made}


def facets(traces: int, errors: int = 0, **values: dict[str, int]) -> Facets:
    found = {
        kind: tuple(FacetValue(value=value, traces=number) for value, number in of_kind.items())
        for kind, of_kind in values.items()
    }
    return Facets(traces=traces, errors=errors, values=found)


def test_what_all_traces_share_narrows_nothing() -> None:
    assert offered(facets(2, route={"POST /ask": 2}, model={"gpt-5": 2}, version={"m-v1": 2})) == {}
    assert offered(Facets()) == {}


def test_each_kind_of_value_is_offered_with_how_many_traces_have_it() -> None:
    found = facets(
        1234,
        3,
        version={"m-v1": 1200, "m-v2": 34},
        route={"POST /ask": 1230, "GET /": 4},
        model={"gpt-5": 7},
        error_type={"TimeoutError": 3},
        score={"correct<0.5": 20, "correct>=0.5": 30},
        conversation={"c-1": 2},
    )
    assert offered(found) == {
        "Outcome": {"failed": 3},
        "Failed with": {"TimeoutError": 3},
        "Model": {"gpt-5": 7},
        "Route": {"POST /ask": 1230, "GET /": 4},
        "Score": {"correct<0.5": 20, "correct>=0.5": 30},
        "Conversation": {"c-1": 2},
    }
    assert not {"Route", "Outcome"} & offered(found, [("route", "GET /"), ("errors_only", "true")]).keys()
    assert total(found) == "1,234 traces, 3 failed"
    assert total(replace(found, is_cut=True)) == "of the newest 1,234, 3 failed"


def test_versions_are_ticked_and_others_of_the_name_offered() -> None:
    titles = {one: Title(model_id=one, name="bot", label=one[-2:], stage="") for one in ("m-v1", "m-v2", "m-v3")}
    counted = facets(40, version={"m-v1": 30, "m-v2": 10})

    def shown(chosen: dict[str, str], found: Facets) -> list[tuple[str, int | None, bool]]:
        given = [("order", "slowest"), *(("version", text) for text in chosen)]
        made = version_offers(given, chosen, titles, found)
        added = [f"/traces?{urlencode([*given, ('version', one.value)])}" for one in made if not one.is_ticked]
        assert added == [one.address for one in made if not one.is_ticked]
        return [(one.label, one.count, one.is_ticked) for one in made]

    assert shown({}, counted) == [("bot v1", 30, False), ("bot v2", 10, False)]
    assert shown({}, facets(30, version={"m-v1": 30})) == []
    ticked = [("bot v1", 30, True), ("bot v2", 10, True), ("bot v3", None, False)]
    assert shown({"v1": "m-v1", "m-v2": "m-v2"}, counted) == ticked
    assert shown({"gone": "gone"}, Facets())[0] == ("gone", 0, True)
    assert total(counted, 2) == "40 of 2 versions"


def test_several_versions_are_ticked_and_compared(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?order=slowest&version={sent.NEW_CHAT}")
    alone = int(page.locator("#found footer .muted").inner_text().split()[-1])
    narrow = page.get_by_role("navigation", name="Narrow the list")
    assert narrow.get_by_role("checkbox", checked=True).evaluate_all("all => all.map(one => one.value)") == [
        sent.NEW_CHAT
    ]
    narrow.locator(f"input[value='{sent.OLD_CHAT}']").check()
    page.get_by_label("Text", exact=True).fill("parcel")
    follow(page, page.get_by_role("button", name="Show").first.click)
    assert [one for one in parse_qsl(urlsplit(page.url).query) if one[0] != "page"] == [
        ("version", sent.NEW_CHAT),
        ("version", sent.OLD_CHAT),
        ("text", "parcel"),
        ("order", "slowest"),
    ]
    assert "of 2 versions" in page.locator("main").inner_text()
    assert int(page.locator("#found footer .muted").inner_text().split()[-1]) > alone
    assert {*page.locator("#found tbody code.id").all_inner_texts()} <= {sent.NEW_CHAT[-8:], sent.OLD_CHAT[-8:]}
    assert page.locator(".chip").count() == 3
    follow(page, page.get_by_role("link", name="Compare these two").click)
    assert page.url.endswith(f"version={sent.NEW_CHAT}&version={sent.OLD_CHAT}")


def test_one_click_narrows_the_list_and_keeps_what_was_chosen(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?version={sent.NEW_CHAT}&order=slowest")
    # What would be added to the list has no count.
    offered = page.get_by_role("navigation", name="Narrow the list").locator("li:has(.muted:not(:empty)) a")
    links = {one.get_attribute("href"): one for one in offered.all()}
    counts = {
        address: int(link.locator("xpath=following-sibling::span").inner_text()) for address, link in links.items()
    }
    assert {name for address in links for name, _ in parse_qsl(urlsplit(address).query)} >= {
        "errors_only",
        "error_type",
    }
    for address, count in counts.items():
        page.goto(shop.http + address)
        assert f"version={sent.NEW_CHAT}" in page.url
        assert "order=slowest" in page.url
        assert page.locator("#found footer").inner_text().split("\n")[-1].endswith(f" to {count} of {count}")
