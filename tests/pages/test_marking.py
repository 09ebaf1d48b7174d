# SPDX-License-Identifier: Apache-2.0
"""Messages in Markdown: shown as it is meant, and harmless whatever is in it."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.pages.marking import MOST_CHARACTERS, marked_up

from . import sent
from .conftest import Open, Shop

_ALLOWED = {
    *("p", "strong", "em", "s", "a", "code", "pre", "ul", "ol", "li", "blockquote", "br", "hr", "span"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
MARKDOWN = """## Your parcel

It is in **Graz**, see [the map](https://maps.example/?q=graz&z=3):

- left `Linz` on *Monday*
- arrives on ~~Tuesday~~ Wednesday

| day | place |
| --- | ---: |
| Mon | Linz |

```json
{"parcel": "P-77"}
```

![a map](https://maps.example/graz.png) <img src=x onerror=alert(1)> [more](javascript:alert(2))
"""


class Tags(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def check_harmless(html: str) -> None:
    for tag, attributes in Tags(html).tags:
        assert tag in _ALLOWED
        if tag == "a":
            assert re.match("(?i)https?://|mailto:", attributes.pop("href") or "")
            assert attributes.pop("rel") == "noreferrer noopener external nofollow"
            assert attributes.pop("target") == "_blank"
        assert {*attributes} <= {"class", "start"}


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> **b**",
        "[x](javascript:alert(1)) **b**",
        "[x](JaVaScRiPt&colon;alert(1)) **b**",
        "[x](data:text/html;base64,AAAA) **b**",
        "![x](data:image/svg+xml;base64,AAAA) **b**",
        '[x](https://a.example/"onclick="alert(1)) **b**',
        "<javascript:alert(1)> **b**",
        "<https://a.example/'onmouseover='alert(1)> **b**",
        "[a]: javascript:alert(1)\n\n[a] **b**",
        "| a |\n| :-: |\n| b |",
        "```<b> onclick=x\n</code><script>\n```",
        "1000000. one",
    ],
)
def test_nothing_in_a_text_does_harm(text: str) -> None:
    html = marked_up(text)
    assert html is not None
    check_harmless(html)


@given(st.text(st.sampled_from("ab \n\t*_`[]()<>!|-#~&;:\"'/\\=1.\u202e\x1b"), max_size=60))
def test_any_text_is_harmless_or_left_as_it_is(text: str) -> None:
    html = marked_up(f"{text} **b**\n\n{text}[l](https://a.example)")
    if html is not None:
        check_harmless(html)
        assert "\x1b" not in html
        assert "\u202e" not in html


@pytest.mark.parametrize(
    "text", ["It is in Graz.", "a * b * c", "snake_case_name\n    indented", "", "> " * 70 + "deep"]
)
def test_texts_without_markdown_or_nested_too_deeply_are_left_as_they_are(text: str) -> None:
    assert marked_up(text) is None


@pytest.mark.parametrize("piece", ["[", "![", "_a", "*a ", "a**b", "~~a", "<", "&", "`", "|a", "[]("])
def test_the_worst_of_texts_takes_little_of_the_processor(piece: str) -> None:
    text = ("**b** " + piece * MOST_CHARACTERS)[:MOST_CHARACTERS]
    started = time.process_time()
    marked_up(text)
    assert time.process_time() - started < 3


def test_a_message_in_markdown_is_shown_as_it_is_meant(shop: Shop, open_page: Open) -> None:
    trace_id = "c" * 31 + "1"
    assert shop.serving.post(sent.request_of_chat("marking-v1", trace_id, MARKDOWN)).status == 200
    page = open_page(f"{shop.http}/trace?id={trace_id}")
    said = page.locator(".msg.said .md")
    assert said.locator("li").all_inner_texts() == ["left Linz on Monday", "arrives on Tuesday Wednesday"]
    assert said.locator("strong").all_inner_texts() == ["Your parcel", "Graz"]
    assert said.locator("td").all_inner_texts() == ["Mon", "Linz"]
    assert said.locator("pre").inner_text().strip() == '{"parcel": "P-77"}'
    assert page.locator("h2", has_text="Your parcel").count() == 0
    link = said.get_by_role("link", name="the map")
    assert link.get_attribute("href") == "https://maps.example/?q=graz&z=3"
    assert said.get_by_role("link", name="picture: a map").get_attribute("href") == "https://maps.example/graz.png"
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)> [more](javascript:alert(2))" in said.inner_text()
