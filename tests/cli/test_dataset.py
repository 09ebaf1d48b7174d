# SPDX-License-Identifier: Apache-2.0
"""The commands of `dataset`; what they write to a store, a backend's tests hold."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.genai import datasets
from otel_loggedmodel.store.results import Dataset

from .conftest import unboxed

Run = Callable[..., Result]
ROWS = {f"r{place}": {"id": f"r{place}", "inputs": {"x": "y" * 100}, "expectations": {"a": 1}} for place in range(25)}


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """One data set that is kept, of whichever store."""

    def get_dataset(name: str, store: str | None = None, token: str | None = None) -> datasets.EvaluationDataset:
        if name != "kept":
            raise LookupError(f"the store has no rows of a data set {name!r}")
        return datasets.EvaluationDataset(name, "d-1", _rows=dict(ROWS))

    monkeypatch.setattr(datasets, "get_dataset", get_dataset)


def test_the_list_has_what_was_evaluated_and_what_is_kept(run: Run, reader: MemoryReader) -> None:
    reader.known_datasets = [Dataset(digest="d" * 16, name="questions"), Dataset(digest="", name="kept", kept_rows=25)]
    printed = run("dataset", "list").stdout
    assert "d" * 16 in printed
    assert "25" in next(line for line in printed.splitlines() if "kept" in line and "rows" not in line)
    assert json.loads(run("dataset", "list", "--json").stdout)["datasets"][1]["kept_rows"] == 25
    reader.known_datasets = []
    assert "dataset add NAME FILE" in run("dataset", "list").stderr


def test_one_is_shown_with_its_first_rows_and_exported_whole(run: Run, reader: MemoryReader, tmp_path: Path) -> None:
    printed = run("dataset", "show", "kept").stdout
    assert "25 rows" in printed
    assert "5 more: `otel-loggedmodel dataset export` has all." in printed
    assert "…" in next(line for line in printed.splitlines() if "r3 " in line)
    run("dataset", "export", "kept", "--output", str(tmp_path / "out.jsonl"))
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == list(ROWS.values())
    assert run("dataset", "export", "kept").stdout == (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "text", "problem"),
    [
        (["add", "kept"], "", "name a file of rows, or a version with --traces-of: one of the two"),
        (["add", "kept", "FILE", "--traces-of", "v1"], "", "one of the two"),
        (["add", "kept", "FILE"], "{", "rows.jsonl, line 1, is not JSON"),
        (["add", "kept", "FILE"], "[1]", "pass dicts with `inputs`"),
        (["add", "kept", "rows.xml"], "", "data is read from .jsonl, .json, .csv and .tsv files"),
        (["add", "kept", "none.jsonl"], "", "No such file"),
        (["add", "kept", "--traces-of", "v1"], "", "there is no version 'v1'"),
        (["show", "none"], "", "has no rows of a data set 'none'; `otel-loggedmodel dataset list` lists them"),
        (["export", "none"], "", "dataset list"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, reader: MemoryReader, tmp_path: Path, arguments: list[str], text: str, problem: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    given = [str(file) if argument == "FILE" else argument for argument in arguments]
    assert problem in unboxed(run("dataset", *given, code=2).stderr)
