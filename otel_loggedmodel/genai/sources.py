# SPDX-License-Identifier: Apache-2.0
"""Reads rows from lists, files, data frames and streams, one record at a time."""

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.genai.cells import plain_cell
from otel_loggedmodel.genai.conversations import Conversation
from otel_loggedmodel.genai.digests import digest
from otel_loggedmodel.genai.rows import Row, RowReader

_FRAME_SLICE: Final = 1024
_MAX_CSV_FIELD: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Dataset:
    """A set of rows.

    Attributes:
        digest: Which set it is.
        name: What it is called, or None.
        size: How many rows it has, turns of conversations too; None if that is not known before the end.
        in_memory: Whether the rows are in memory already.
        open: Gives the rows, from the first.
        first: Gives the first row or conversation; None if there is none.
    """

    digest: str
    name: str | None
    size: int | None
    in_memory: bool
    open: Callable[[], Iterator[Row | Conversation]]
    first: Callable[[], Row | Conversation | None]


def dataset_of(data: Any, name: str | None) -> Dataset:
    """The data set that a caller passed.

    A data set that can be read twice has the digest of its rows, that is of their keys and expectations in any order. A
    stream has the digest of its name.

    Args:
        data: A list of dicts, the path of a JSON Lines or CSV file, a pandas or polars data frame, or any iterable.
        name: What it is called.

    Raises:
        TypeError: It is none of these.
        ValueError: It is a stream without a name, or a row is not valid.
        OSError: The file cannot be read.
    """
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        open_file = _opener(path)
        return _twice_readable(open_file, name or path.stem, in_memory=False)
    if is_frame(data):
        return _twice_readable(lambda: records_of_frame(data), name, in_memory=True)
    if any(kind.__name__ == "EvaluationDataset" for kind in type(data).__mro__):  # of `genai.datasets`
        return _twice_readable(lambda: iter(data.records), name or data.name, in_memory=True)
    if isinstance(data, list | tuple):
        return _twice_readable(lambda: iter(data), name, in_memory=True)
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise TypeError(
            f"data is {type(data).__name__}: pass a list of dicts, the path of a .jsonl or .csv file, a pandas or "
            "polars data frame, or an iterable of dicts with dataset=... as its name"
        )
    return _stream(data, name)


def _twice_readable(records: Callable[[], Iterator[Any]], name: str | None, *, in_memory: bool) -> Dataset:
    first = RowReader()
    for _ in first.read(records()):
        pass

    def rows() -> Iterator[Row | Conversation]:
        return RowReader(with_digest=False).read(records())

    return Dataset(str(first.digest), name, first.rows, in_memory, rows, lambda: next(rows(), None))


def _stream(data: Iterable[Any], name: str | None) -> Dataset:
    rows = RowReader().read(iter(data))
    first = next(rows, None)
    if isinstance(first, Row) and first.trace_id is None and name is None:
        raise ValueError(
            "what a stream consists of is known only at its end: name it, evaluate(..., dataset='support-2024'), "
            "so that its results are compared with those of the same rows"
        )
    beginning = () if first is None else (first,)
    return Dataset(
        digest="" if name is None else digest(["name", name]),
        name=name,
        size=None,
        in_memory=False,
        open=lambda: itertools.chain(beginning, rows),
        first=lambda: first,
    )


def records_of_file(path: Path) -> Iterator[Any]:
    """The records of a file, as they are.

    Raises:
        ValueError: It is of no kind that is read, or holds what is no record.
        OSError: It cannot be read.
    """
    return _opener(path)()


def _opener(path: Path) -> Callable[[], Iterator[Any]]:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return lambda: _json_lines(path)
    if suffix == ".json":
        return lambda: iter(_json_list(path))
    if suffix in (".csv", ".tsv"):
        return lambda: _csv_records(path, "\t" if suffix == ".tsv" else ",")
    raise ValueError(f"{path.name} is of an unknown kind: data is read from .jsonl, .json, .csv and .tsv files")


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}, is not JSON: {error}") from None


def _json_list(path: Path) -> list[Any]:
    with path.open(encoding="utf-8-sig") as file:
        found = json.load(file)
    if not isinstance(found, list):
        raise ValueError(f"{path.name} holds {type(found).__name__}, not a list of rows")
    return found


def _csv_records(path: Path, delimiter: str) -> Iterator[Any]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CSV_FIELD))
    with path.open(encoding="utf-8-sig", newline="") as file:
        for record in csv.DictReader(file, delimiter=delimiter):
            if None in record:
                raise ValueError(f"{path.name} has a row with more cells than its header")
            yield record


def is_frame(data: Any) -> bool:
    """Whether it is a data frame of pandas or polars."""
    kinds = ((kind.__module__.split(".")[0], kind.__name__) for kind in type(data).__mro__)
    return any(library in ("pandas", "polars") and name in ("DataFrame", "LazyFrame") for library, name in kinds)


def records_of_frame(frame: Any) -> Iterator[Any]:
    """The rows of a frame as dicts, a slice at a time, as a whole frame would be many times as large."""
    if hasattr(frame, "collect") and not hasattr(frame, "iter_rows"):
        frame = frame.collect()  # a lazy frame of polars
    if hasattr(frame, "iter_rows"):
        yield from frame.iter_rows(named=True)
        return
    for start in range(0, len(frame), _FRAME_SLICE):
        for record in frame.iloc[start : start + _FRAME_SLICE].to_dict(orient="records"):
            yield {key: plain_cell(value) for key, value in record.items()}
