# SPDX-License-Identifier: Apache-2.0
"""What people say on the pages is stored, from these pages alone, and only by those who may."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from asking import Answer
from backend.serving import Serving, ask
from effort import only_in_full
from otel_loggedmodel.genai.datasets import get_dataset

from . import sent
from .conftest import TOKEN, Open, Shop, axe_complaints, follow

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TRACE = "d" * 31 + "1"


@pytest.fixture(scope="module")
def written(shop: Shop) -> Shop:
    """A trace that tests here say something of, and no others look at."""
    assert shop.serving.post(sent.request_of_chat("writing-v1", TRACE, "It is in Graz.")).status == 200
    return shop


def say(shop: Shop, path: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    return ask(shop.http, "POST", path, urlencode({"id": TRACE, **fields}).encode(), {**FORM, **(headers or {})})


def test_feedback_takes_one_click_and_the_newest_counts(written: Shop, open_page: Open) -> None:
    page = open_page(f"{written.http}/trace?id={TRACE}")
    page.get_by_label("Comment").fill("Graz is right")
    follow(page, page.get_by_role("button", name="Good").click)
    assert page.locator("#scores [role=status]").inner_text() == "Saved"
    said = page.locator("#scores dd")
    assert said.all_inner_texts()[-1] == "1 pass human, Graz is right"
    follow(page, page.get_by_role("button", name="Bad").click)
    scores = json.loads(ask(written.http, "GET", "/api/v1/versions/writing-v1").body)["metrics"]["scores"]
    assert (scores["feedback"]["count"], scores["feedback"]["mean"]) == (1, 0.0)


def test_a_trace_becomes_a_row_that_an_evaluation_can_take(written: Shop, open_page: Open) -> None:
    page = open_page(f"{written.http}/trace?id={TRACE}")
    page.get_by_role("combobox", name="Data set").fill("from the pages")
    page.get_by_label("What should have come out").fill("In Graz, since Monday.")
    follow(page, page.get_by_role("button", name="Add").click)
    assert page.locator("#add [role=status]").inner_text().startswith("Added.")
    (row,) = get_dataset("from the pages", store=written.http)
    assert row["expectations"] == {"expected_response": "In Graz, since Monday."}
    assert "Where is my parcel?" in str(row["inputs"])
    # It is offered from now on, also where nothing was evaluated on it yet.
    assert "from the pages" in page.locator("#datasets option").evaluate_all("all => all.map((one) => one.value)")
    page.goto(f"{written.http}/runs")
    assert "from the pages" in page.get_by_label("Data set").locator("option").all_inner_texts()
    # The same trace again is the same row.
    assert say(written, "/trace/row", dataset="from the pages").status == 303
    assert len(get_dataset("from the pages", store=written.http)) == 1


@only_in_full
def test_it_works_without_scripts_and_axe_finds_nothing(written: Shop, open_page: Open) -> None:
    page = open_page(f"{written.http}/trace?id={TRACE}", java_script_enabled=False)
    follow(page, page.get_by_role("button", name="Good").click)
    assert page.locator("#scores [role=status]").inner_text() == "Saved"
    assert axe_complaints(lambda **options: open_page(f"{written.http}/trace?id={TRACE}&stored=add", **options)) == []


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/trace/feedback", {"said": "maybe"}, "expected good or bad"),
        ("/trace/feedback", {"said": "good", "id": "none"}, "none"),
        ("/trace/row", {"dataset": " "}, "name the data set"),
        ("/trace/row", {"dataset": "a\nb"}, "name the data set"),
        ("/trace/row", {"dataset": "d" * 300}, "at most 200 letters"),
        ("/trace/row", {"dataset": "d", "expected": "x" * 20_000}, "too long"),
    ],
)
def test_what_cannot_be_stored_says_why(written: Shop, path: str, fields: dict[str, str], message: str) -> None:
    answer = say(written, path, **fields)
    assert answer.status in (400, 404)
    assert message in answer.body.decode()


@pytest.mark.parametrize(
    ("headers", "status"), [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 421)]
)
def test_other_pages_write_nothing(written: Shop, headers: dict[str, str], status: int) -> None:
    assert say(written, "/trace/feedback", headers, said="good").status == status


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    with Serving(folder / "log", "--data", folder / "data", OTEL_LOGGEDMODEL_TOKEN=TOKEN) as serving:
        yield serving


@only_in_full
def test_with_a_token_only_those_who_logged_in_write(guarded: Serving) -> None:
    body = urlencode({"id": TRACE, "said": "good"}).encode()
    answer = ask(guarded.http, "POST", "/trace/feedback", body, FORM)
    assert (answer.status, answer.headers["location"].partition("?")[0]) == (303, "/login")
    assert ask(guarded.http, "POST", "/trace/feedback", body, {**FORM, "Authorization": "Bearer wrong"}).status == 401
    right = {**FORM, "Authorization": f"Bearer {TOKEN}"}
    assert (
        ask(guarded.http, "POST", "/trace/feedback", body, right).status == 404
    )  # may write, of a trace that is not there
