# SPDX-License-Identifier: Apache-2.0
"""Pictures, files and long texts in messages: told of with their sizes, and never loaded from outside."""

import re
from typing import Any

import pytest

from backend.serving import ask
from effort import some

from . import sent
from .conftest import Open, Shop

_MOST_BYTES_OF_A_PAGE = 150_000


def the_trace(shop: Shop, open_page: Open, **options: Any) -> Any:
    return open_page(f"{shop.http}/trace?id={sent.PICTURES_TRACE}", **options)


@pytest.mark.parametrize("width", some([390, 1440]))
def test_a_picture_is_shown_when_it_is_asked_for(shop: Shop, open_page: Open, width: int) -> None:
    page = the_trace(shop, open_page, width=width)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert page.locator(".file").first.inner_text() == "image/png, 676 kB Show picture"
    assert page.locator("img").count() == 0
    page.get_by_role("link", name="Show picture").click()
    picture = page.get_by_alt_text("image/png, 676 kB")
    assert picture.evaluate("async one => { await one.decode(); return one.naturalWidth; }") == 500
    assert picture.bounding_box()["width"] <= width
    assert all(address.startswith(f"{shop.http}/") for address in asked)


def test_nothing_is_loaded_from_where_a_message_points_to(shop: Shop, open_page: Open) -> None:
    page = the_trace(shop, open_page)
    link = page.get_by_role("link", name=sent.OUTSIDE)
    assert link.get_attribute("href") == sent.OUTSIDE
    assert {"noreferrer", "noopener"} <= set((link.get_attribute("rel") or "").split())
    files = page.locator(".file").all_inner_texts()
    assert "(outside; not loaded)" in files[2]
    # What is no address of the web is told of, and leads nowhere.
    assert files[3] == "of unknown type: javascript:alert(1)"
    assert page.locator("a[href^=javascript]").count() == 0
    assert files[4] == "application/pdf: file-77"


def test_a_page_with_a_picture_stays_small(shop: Shop) -> None:
    answer = ask(shop.http, "GET", f"/trace?id={sent.PICTURES_TRACE}")
    assert answer.status == 200
    assert len(answer.body) < _MOST_BYTES_OF_A_PAGE


def test_a_long_text_says_how_much_more_there_is(shop: Shop, open_page: Open) -> None:
    page = the_trace(shop, open_page)
    rest = page.locator(".messages .left-out")
    assert rest.inner_text() == "… 180,000 more characters: all of it"
    address = rest.get_by_role("link").get_attribute("href")
    answer = ask(shop.http, "GET", address)
    assert answer.body.decode() == sent.LONG_RESULT
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_what_a_message_carries_cannot_do_anything(shop: Shop, open_page: Open) -> None:
    page = the_trace(shop, open_page)
    shown, kept = (
        ask(shop.http, "GET", page.get_by_role("link", name=name).get_attribute("href"))
        for name in ("Show picture", "Download")
    )
    assert (shown.headers["content-type"], shown.body) == ("image/png", sent.PICTURE)
    # Something that could hold a program is a file to keep.
    assert (kept.headers["content-type"], kept.body) == ("application/octet-stream", b"<svg/>")
    assert kept.headers["content-disposition"].startswith("attachment")
    for answer in (shown, kept):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("&span=none&message=0", 404),
        ("&span={span}&message=x", 400),
        ("&span={span}&message=99999999", 400),
        ("&span={span}&message=77", 404),
        ("&span={span}&of=attributes&key=none", 404),
        ("&span={span}&of=12&key=none", 404),
        ("&span={span}&message=0&what=1", 400),
    ],
)
def test_an_address_of_nothing_is_told(shop: Shop, query: str, status: int) -> None:
    page = ask(shop.http, "GET", f"/trace?id={sent.PICTURES_TRACE}", headers={"accept": "text/html"})
    span = re.search('/trace/content[^"]*span=([0-9a-f]+)', page.body.decode())[1]
    answer = ask(shop.http, "GET", f"/trace/content?id={sent.PICTURES_TRACE}{query.format(span=span)}")
    assert answer.status == status
