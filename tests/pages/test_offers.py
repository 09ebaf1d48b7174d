# SPDX-License-Identifier: Apache-2.0
"""What the list of traces offers to be narrowed to."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from otel_loggedmodel.pages.narrowing import offers, total
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import Facets, FacetValue

from . import sent
from .conftest import Open, Shop


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
        "Version": {"bot v1": 1200, "bot v2": 34},
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


def test_one_click_narrows_the_list_and_keeps_what_was_chosen(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?version={sent.NEW_CHAT}&order=slowest")
    offered = page.get_by_role("navigation", name="Narrow the list").get_by_role("link")
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
