# SPDX-License-Identifier: Apache-2.0
"""The rows of a data set that changed, on the page and in the file, and choosing which traffic counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.serving import Serving, command
from effort import only_in_full, some
from planted_evaluations import CORRECT, QUESTIONS_NAME, ROWS, SIMILAR, Evaluations, make_evaluations

from .conftest import Open, axe_complaints, follow


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    return make_evaluations()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, evaluations: Evaluations) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("rows")
    with Serving(folder / "log", "--data", folder / "data") as serving:
        assert serving.post(evaluations.request).status == 200
        yield serving


def changed(evaluations: Evaluations, candidate: str) -> list[str]:
    """The rows under which `correct` changed."""
    version = evaluations.versions[candidate]
    rows = evaluations.versions["base"].rows
    return [row.key for place, row in enumerate(rows) if version.correct(row.correct, place) != row.correct]


def test_rows_that_changed_stand_once_with_a_column_for_each_score_and_both_traces(
    backend: Serving, open_page: Open, evaluations: Evaluations
) -> None:
    page = open_page(f"{backend.http}/compare?version=base&version=failing")
    section = page.locator("#rows")
    assert section.locator("thead th").all_inner_texts() == [
        "input",
        "expected",
        "A output",
        "B output",
        CORRECT,
        SIMILAR,
    ]
    planted = changed(evaluations, "failing")
    counts = " ".join(section.locator("li").first.inner_text().split())
    assert counts == f"{CORRECT}: ✗ {len(planted)} lower {ROWS - len(planted)} the same"
    assert f"data set {QUESTIONS_NAME}, {ROWS} rows both have" in section.locator("header").inner_text()
    rows = section.locator("tbody tr")
    assert rows.count() == 10 < len(planted)
    key = rows.first.locator("th code").inner_text()
    assert key in planted
    assert rows.first.locator("th").inner_text().startswith(f"question {key}")
    expected, base, candidate, change, similar = rows.first.locator("td").all_inner_texts()
    assert expected == f"answer to question {key}"
    assert f"base answers question {key}" in base
    assert f"failing answers question {key}" in candidate
    assert rows.first.locator("del").all_inner_texts() == ["base"]
    assert rows.first.locator("ins").all_inner_texts() == ["failing"]
    assert change.split() == ["1", "→", "0", "✗", "-1"]
    assert similar == "="
    for place, version in some([(1, "failing"), (0, "base")]):
        page = open_page(f"{backend.http}/compare?version=base&version=failing")
        link = page.locator("#rows tbody tr").first.locator("td a")
        follow(page, link.nth(place).click)
        assert f"{version} answers question {key}" in page.locator("#span").inner_text()


def test_more_rows_are_one_click_away(backend: Serving, open_page: Open, evaluations: Evaluations) -> None:
    page = open_page(f"{backend.http}/compare?version=base&version=failing")
    follow(page, page.get_by_role("link", name="Show up to 100 rows of each").click)
    shown = page.locator("#rows tbody th code").all_inner_texts()
    assert sorted(shown) == sorted(changed(evaluations, "failing"))
    assert page.get_by_role("link", name="Show up to").count() == 0


@only_in_full
def test_rows_that_did_not_change_are_counted_alone(backend: Serving, open_page: Open) -> None:
    page = open_page(f"{backend.http}/compare?version=base&version=lower")
    correct, similar = page.locator("#rows li").all_inner_texts()
    assert "higher" not in correct + similar
    assert "lower" not in correct
    assert "lower" in similar
    assert set(page.locator(f"#rows td[data-k={CORRECT}]").all_inner_texts()) == {"="}


def test_one_click_shows_the_rows_that_became_worse(
    backend: Serving, open_page: Open, evaluations: Evaluations
) -> None:
    page = open_page(f"{backend.http}/compare?version=failing&version=base")
    # What was planted became worse in the other direction.
    assert page.locator("#rows .chip[aria-current]").all_inner_texts() == ["All that changed"]
    follow(page, page.get_by_role("link", name="Any score lower").click)
    assert "No row changed so." in page.locator("#rows").inner_text()
    follow(page, page.get_by_role("link", name="11 higher").click)
    assert "score=correct&change=higher" in page.url
    follow(page, page.get_by_role("link", name="Show up to 100 rows of each").click)
    assert page.locator("#rows .chip[aria-current]").all_inner_texts() == ["✓ 11 higher"]
    assert sorted(page.locator("#rows tbody th code").all_inner_texts()) == sorted(changed(evaluations, "failing"))
    assert page.get_by_role("link", name="Show up to").count() == 0
    page.goto(f"{backend.http}/compare?version=base&version=failing&change=best")
    assert "use one of higher, lower" in page.locator("main").inner_text()


def test_the_row_of_a_bad_trace_is_three_clicks_from_the_first_page(backend: Serving, open_page: Open) -> None:
    # The first is that of the comparison.
    page = open_page(f"{backend.http}/compare?version=base&version=failing")
    row = page.locator("#rows tbody tr").first
    key = row.locator("th code").inner_text()
    follow(page, row.get_by_role("link", name="trace of row").last.click)
    follow(page, page.locator("#summary dl").get_by_role("link", name=key).click)
    assert page.locator("h1").inner_text() == f"question {key}"
    assert page.locator("#summary dd").inner_text() == f"answer to question {key}"
    found = page.locator("#answers tbody tr")
    versions = found.locator("th .ver").all_inner_texts()
    assert {"base", "failing"} <= {one.split()[0] for one in versions}
    said = found.locator("td:nth-child(2)").all_inner_texts()
    assert any(f"failing answers question {key}" in one for one in said)
    assert CORRECT in page.locator("#answers thead").inner_text()
    # From the comparison it is one click.
    page.goto(f"{backend.http}/compare?version=base&version=failing")
    follow(page, page.locator("#rows").get_by_role("link", name=f"all answers to row {key}").click)
    assert page.locator("h1").inner_text() == f"question {key}"
    assert open_page(page.url, width=360).evaluate("document.documentElement.scrollWidth") <= 360
    assert axe_complaints(lambda **options: open_page(page.url, **options)) == []


def test_a_row_that_nothing_was_evaluated_on_says_so(backend: Serving, open_page: Open) -> None:
    page = open_page(f"{backend.http}/row?dataset={QUESTIONS_NAME}&row=none")
    assert "Nothing was evaluated on this row" in page.locator("main").inner_text()
    page = open_page(f"{backend.http}/row?row=none", may_complain=True)
    assert "names no row" in page.locator("main").inner_text()


@only_in_full
def test_of_three_versions_two_are_a_click_away(backend: Serving, open_page: Open) -> None:
    page = open_page(f"{backend.http}/compare?version=base&version=failing&version=lower")
    assert page.locator("#rows table").count() == 0
    assert page.locator("#groups tbody tr").count() == 2
    follow(page, page.get_by_role("link", name="A and C").click)
    assert page.locator("#decision .ver").all_inner_texts()[1].split() == ["B", "lower"]
    assert page.locator("#rows table").count() == 1


@only_in_full
def test_a_file_has_the_rows_too(backend: Serving, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "comparison.html"
    ran = command("compare", "base", "failing", "--html", file, "--limit", "3", store=backend.http)
    assert ran.returncode == 0, ran.stderr
    page = open_page(file.as_uri())
    table = page.locator("#rows table").first
    assert table.locator("tbody tr").count() == 3
    assert "failing answers question" in table.inner_text()
    assert table.locator("td code.id").count() == 6  # the trace of each side
    assert table.locator("a").count() == 0


@only_in_full
def test_axe_finds_nothing_to_complain_of(backend: Serving, open_page: Open) -> None:
    address = f"{backend.http}/compare?version=base&version=failing"
    assert axe_complaints(lambda **options: open_page(address, **options)) == []
    assert open_page(address, width=360).evaluate("document.documentElement.scrollWidth") <= 360


@only_in_full
def test_what_counts_is_a_data_set_or_production(backend: Serving, open_page: Open) -> None:
    page = open_page(f"{backend.http}/compare?version=base&version=failing")
    everything = page.locator("#metrics").inner_text()
    field = page.get_by_label("Traffic")
    options = field.locator("option").all_inner_texts()
    assert options[:2] == ["All traffic", "Production only"]
    assert f"Data set {QUESTIONS_NAME}" in options
    field.select_option("Production only")
    follow(page, page.get_by_role("button", name="Show").click)
    assert page.locator("#rows").count() == 0
    assert page.get_by_label("Traffic").input_value() == "production"
    production = page.locator("#metrics").inner_text()
    assert production != everything
    # Links keep it.
    follow(page, page.get_by_role("link", name="Swap").click)
    assert "production=true" in page.url
    page.get_by_label("Traffic").select_option(f"Data set {QUESTIONS_NAME}")
    follow(page, page.get_by_role("button", name="Show").click)
    assert "production=true" not in page.url
    assert page.locator("#rows table").count() >= 1
    page.get_by_label("Traffic").select_option("All traffic")
    follow(page, page.get_by_role("button", name="Show").click)
    follow(page, page.get_by_role("link", name="Swap").click)
    assert page.locator("#metrics").inner_text() == everything
    for path in some(["/traces", "/", "/version?id=base"]):
        assert open_page(backend.http + path).get_by_label("Traffic").count() == 1


@only_in_full
def test_a_backend_without_evaluations_asks_nothing_of_them(open_page: Open, tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        page = open_page(f"{serving.http}/traces", may_complain=True)
        assert page.get_by_label("Traffic").count() == 0
        page = open_page(f"{serving.http}/traces?dataset=gone", may_complain=True)
        assert page.get_by_label("Traffic").input_value() == "dataset:gone"
        page = open_page(f"{serving.http}/traces?traffic=none", may_complain=True)
        assert "expected production, or dataset:" in page.locator("main").inner_text()
