# SPDX-License-Identifier: Apache-2.0
"""The shapes of data, and what makes rows and data sets the same."""

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from otel_loggedmodel.genai.rows import MISSING
from otel_loggedmodel.genai.sources import dataset_of

ROWS = [
    {"inputs": {"question": "a?"}, "expectations": {"answer": "A"}},
    {"inputs": {"question": "b?"}, "expectations": {"answer": "B"}},
    {"inputs": {"question": "a?"}, "expectations": {"answer": "C"}},
]


def keys(data, name=None) -> list[str]:
    return [row.key for row in dataset_of(data, name).open()]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n", encoding="utf-8-sig")
    whole = tmp_path / "rows.json"
    whole.write_text(json.dumps(ROWS), encoding="utf-8")
    table = tmp_path / "rows.csv"
    table.write_text("inputs.question,expectations.answer\na?,A\nb?,B\na?,C\n", encoding="utf-8")
    tabs = tmp_path / "rows.tsv"
    tabs.write_text(
        'inputs\texpectations\n"{""question"":""a?""}"\t"{""answer"":""A""}"\n'
        '"{""question"":""b?""}"\t"{""answer"":""B""}"\n"{""question"":""a?""}"\t"{""answer"":""C""}"\n',
        encoding="utf-8",
    )
    return [lines, whole, table, tabs]


def test_the_same_rows_are_the_same_data_set_in_whatever_form(files) -> None:
    expected = dataset_of(ROWS, None)
    assert (expected.size, expected.in_memory, expected.name) == (3, True, None)
    for file in files:
        found = dataset_of(str(file), None)
        assert (found.digest, found.size, found.in_memory, found.name) == (expected.digest, 3, False, "rows")
        for row, same in zip(found.open(), expected.open(), strict=True):
            assert (row.key, row.inputs, row.expectations) == (same.key, same.inputs, same.expectations)
            assert row.outputs is MISSING


def test_frames_are_data_too() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = dataset_of(ROWS, None)
    for frame in (pandas.DataFrame(ROWS), polars.DataFrame(ROWS), polars.LazyFrame(ROWS)):
        found = dataset_of(frame, "rows")
        assert (found.digest, found.size, found.in_memory) == (expected.digest, 3, True)
        assert [row.inputs for row in found.open()] == [row["inputs"] for row in ROWS]


def test_an_empty_cell_is_nothing() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{"inputs": {"q": 1}, "outputs": "x", "trace": None}, {"inputs": {"q": 2}}])
    first, second = dataset_of(frame, None).open()
    assert (first.outputs, first.trace_id, second.outputs, second.expectations) == ("x", None, MISSING, None)


def test_the_digest_does_not_depend_on_the_order_and_does_on_everything_else() -> None:
    digests = {
        dataset_of(data, None).digest
        for data in (
            ROWS,
            ROWS[:2],
            [*ROWS[:2], ROWS[1]],
            [{**ROWS[0], "expectations": {"answer": "other"}}, *ROWS[1:]],
            [],
        )
    }
    assert len(digests) == 5
    unique = [{"inputs": {"n": number}} for number in range(20)]
    assert dataset_of(unique[::-1], None).digest == dataset_of(unique, None).digest


def test_keys_are_those_of_the_inputs_and_repeated_inputs_are_rows_of_their_own() -> None:
    first, second, third = keys(ROWS)
    assert len({first, second, third}) == 3
    assert keys(ROWS[::-1])[1] == second
    assert keys([{"inputs": {"question": "a?"}, "expectations": {"answer": "new"}}]) == [first]
    assert keys([{"inputs": {"b": 1, "a": 2}}]) == keys([{"inputs": {"a": 2, "b": 1}}])


def test_an_id_of_the_rows_own_is_their_key() -> None:
    rows = [{"id": "q-1", **ROWS[0]}, {"row_id": 7, **ROWS[1]}, {"id": "q-1", **ROWS[2]}]
    assert keys(rows) == ["q-1", "7", "q-1#2"]


@hypothesis.given(
    strategies.lists(
        strategies.dictionaries(strategies.text(max_size=5), strategies.integers() | strategies.text(max_size=5))
    )
)
def test_keys_are_unique_and_always_the_same(inputs) -> None:
    rows = [{"inputs": one} for one in inputs]
    found = keys(rows)
    assert len(set(found)) == len(found)
    assert found == keys(json.loads(json.dumps(rows)))
    assert dataset_of(rows, None).digest == dataset_of(rows[::-1], None).digest


def test_a_stream_is_identified_by_its_name_and_read_once() -> None:
    read = []

    def stream():
        for row in ROWS:
            read.append(row)
            yield row

    found = dataset_of(stream(), "support")
    assert len(read) == 1
    assert found.first().inputs == {"question": "a?"}
    assert [row.number for row in found.open()] == [0, 1, 2]
    assert found.size is None
    assert found.digest == dataset_of(iter(ROWS[:1]), "support").digest != dataset_of(iter(ROWS), "other").digest
    assert dataset_of(iter([]), "empty").first() is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", '{"inputs": {}}\n{"inputs"', "rows.jsonl, line 2, is not JSON"),
        ("rows.json", "{}", "holds dict, not a list of rows"),
        ("rows.csv", "inputs.a,expectations\n1,2,3\n", "more cells than its header"),
        ("rows.csv", "question,answer\na,b\n", "no `inputs`"),
        ("rows.parquet", "", "unknown kind"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name, content, message) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        dataset_of(tmp_path / name, None)


def test_a_file_that_is_not_there_is_an_error_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dataset_of(tmp_path / "none.jsonl", None)
    with pytest.raises(TypeError, match="row 0 is str"):
        dataset_of(["text"], None)


def test_rows_that_belong_together_say_what_they_have_in_common() -> None:
    from otel_loggedmodel.genai.rows import RowReader

    records = [
        {"inputs": {"q": "a"}},
        {"inputs": {"q": "a"}},
        {"inputs": {"q": "b"}, "group": "passage 1"},
        {"inputs": {"q": "c"}, "tags": {"group": "passage 1"}},
        {"inputs": {"q": "d"}, "id": "7"},
        {"inputs": {"q": "d"}, "id": "7"},
    ]
    found = list(RowReader().read(records))
    assert [row.group for row in found] == [None, found[0].key, "passage 1", "passage 1", None, "7"]
    assert len({row.key for row in found}) == len(records)
