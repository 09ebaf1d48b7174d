# SPDX-License-Identifier: Apache-2.0
"""What a backend without spans says, as printed: its lines bring the first version onto the page that shows them."""

from pathlib import Path

from backend.serving import Serving
from effort import only_in_full
from programs import run

from .conftest import TOKEN, Open, follow


def test_the_lines_of_an_empty_backend_bring_its_first_version(open_page: Open, tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        # Pages that are open when the backend ends say that it does not answer.
        page = open_page(serving.http, may_complain=True)
        assert page.locator("h2").inner_text() == "No spans yet: send the first"
        shell, python = page.locator("#first-step pre").all_inner_texts()
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT={serving.http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in shell
        assert "\nexport OTEL_METRICS_EXPORTER=none  # metrics are not stored\n" in shell
        run(python, serving.http, set_up="")
        page.locator("#versions tbody tr.of-name", has_text="my-agent").wait_for()
        # Its record may be stored before its spans, which say that a service runs it.
        page.locator("#live-now a", has_text="my-agent").wait_for()
        assert page.locator("#live-now a", has_text="my-agent").count() == 1
        for path, text in (("/traces", "answer"), ("/compare?version=my-agent", "nothing to compare it with")):
            other = open_page(serving.http + path, may_complain=True)
            assert text in other.locator("main").inner_text()
        assert "There are no trends yet" in other.locator("#time").inner_text()


@only_in_full
def test_the_token_is_asked_for_once(open_page: Open, tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data", OTEL_LOGGEDMODEL_TOKEN=TOKEN) as serving:
        page = open_page(f"{serving.http}/traces?order=worst", may_complain=True)
        assert page.get_by_label("Token of this backend").evaluate("one => one === document.activeElement")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token").wait_for()
        page.get_by_label("Token of this backend").fill(TOKEN)
        follow(page, lambda: page.keyboard.press("Enter"))
        assert page.url == f"{serving.http}/traces?order=worst"
        assert "No trace matches" in page.locator("main").inner_text()
        assert page.evaluate("document.cookie") == ""
        follow(page, page.get_by_role("link", name="Versions").click)
        assert "authorization=Bearer%20<token>" in page.locator("#first-step").inner_text()
        # A link in somebody else's page: the strict cookie comes along at the second try.
        link = f"data:text/html,<a href='{serving.http}/traces'>see</a>"
        page.goto(link)
        page.get_by_role("link", name="see").click()
        page.wait_for_selector("#found")
        follow(page, page.get_by_role("button", name="Log out").click)
        assert page.url == f"{serving.http}/login"
        page.goto(f"{serving.http}/")
        assert page.url == f"{serving.http}/login?next=%2F"
