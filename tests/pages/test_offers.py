# SPDX-License-Identifier: Apache-2.0
"""What the list of traces offers to be narrowed to."""

from collections import Counter

from otel_loggedmodel.pages.traces import values
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.trace_results import TraceSummary

from . import sent
from .conftest import Open, Shop, follow


def trace(number: int, **told: object) -> TraceSummary:
    common = {
        "trace_id": f"{number:032x}",
        "span_id": "s",
        "model_id": "m-1",
        "span_name": "POST /ask",
        "service": "shop",
    }
    return TraceSummary(**{**common, "start_ns": 0, "duration_ms": 1.0, **told})  # type: ignore[arg-type]


def offered(found: list[TraceSummary], given: list[tuple[str, str]] | None = None) -> dict[str, dict[str, int]]:
    titles = {"m-1": Title(model_id="m-1", name="bot", label="v1", stage="")}
    made = values(given or [], titles, found)["offers"]
    return {title: {one.label: one.count for one in offers} for title, offers in made}


def test_what_all_traces_share_narrows_nothing() -> None:
    assert offered([trace(1), trace(2)]) == {}
    assert offered([]) == {}


def test_values_are_offered_the_most_frequent_first() -> None:
    found = [
        trace(1, span_name="POST /ask", conversation="c-1"),
        trace(2, span_name="POST /ask", conversation="c-1", error=True, reason="no answer"),
        trace(3, span_name="GET /", conversation="c-2"),
    ]
    assert offered(found) == {
        "Route": {"POST /ask": 2, "GET /": 1},
        "Failed with": {"no answer": 1},
        "Conversation": {"c-1": 2},
    }
    assert "Route" not in offered(found, [("route", "POST /ask")])


def test_one_click_narrows_the_list_and_keeps_what_was_chosen(shop: Shop, open_page: Open) -> None:
    page = open_page(f"{shop.http}/traces?version={sent.NEW_CHAT}&order=slowest")
    offers = page.get_by_role("navigation", name="Narrow to what is on this page")
    reason = offers.get_by_role("link", name="the model did not answer")
    count = int(reason.locator("xpath=following-sibling::span").inner_text())
    follow(page, reason.click)
    assert f"version={sent.NEW_CHAT}" in page.url
    assert "order=slowest" in page.url
    reasons = Counter(page.locator("#found tbody p.clip .worse").all_inner_texts())
    assert [*reasons] == ["✗ the model did not answer"]
    # Those on other pages come along.
    assert reasons.total() >= count
