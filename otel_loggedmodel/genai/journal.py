# SPDX-License-Identifier: Apache-2.0
"""Notes on disk what an evaluation has done, so that it can go on there after a kill.

There is a file for each version and data set. Its first line says which run it is. Then it has a JSON line for each row
whose results were handed to the exporter and flushed. It is deleted when the evaluation has ended, so the next one of
the same version begins anew. Inputs and outputs are not in it.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from otel_loggedmodel import environment
from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.genai.assessments import Feedback, feedback_from, feedback_values
from otel_loggedmodel.genai.digests import digest
from otel_loggedmodel.genai.texts import text_of_any

_FORMAT: Final = 1
# Made once, as json.dumps makes an encoder for each call.
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=text_of_any)


def default_directory() -> Path:
    """`evaluations` in this library's part of the user's state directory.

    Raises:
        RuntimeError: This user has no home directory.
    """
    found = environment.state_directory("evaluations")
    if found is None:
        raise RuntimeError("this user has no home directory to note in what is done: name one with resume_dir")
    return found


class DoneRow:
    """A row that was done.

    Attributes:
        trace_id: Where, or None.
        span_id: The span that was judged, or None.
        scores: What each scorer said, by the scorer's digest.
    """

    __slots__ = ("_line", "scores_known", "span_id", "trace_id")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.trace_id: str | None = values.get("trace_id")
        self.span_id: str | None = values.get("span_id")
        self.scores_known = frozenset(values["scores"])
        # As text, as a hundred thousand rows have to take little room.
        self._line = json.dumps(values["scores"], separators=(",", ":"))

    @property
    def scores(self) -> dict[str, list[Feedback]]:
        """What each scorer said."""
        return {scorer: [feedback_from(values) for values in found] for scorer, found in json.loads(self._line).items()}


class Journal:
    """The journal of one version and data set. If it cannot be written, the evaluation goes on without it.

    Args:
        directory: Where journals are.
        model_id: The version.
        dataset: Digest of the data set.
    """

    def __init__(self, directory: Path, model_id: str, dataset: str) -> None:
        self.path = directory / f"{digest([_FORMAT, model_id, dataset])}.jsonl"
        self.rows: dict[str, DoneRow] = {}
        self.run: dict[str, Any] | None = None
        self._file: IO[str] | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            warn_once("evaluation journal", "%s cannot be written (%s): a kill would lose its place", self.path, error)
            return
        if not _locked(file):
            warn_once(
                "evaluation journal in use",
                "another evaluation of the same version and data set is under way: this one cannot be resumed",
            )
            file.close()
            return
        self._file = file
        self._read(file)

    def begin(self, run: Mapping[str, Any]) -> None:
        """Note which run it is, if that is not noted."""
        if self.run is None:
            self.run = dict(run)
            self._write([_JSON.encode({"run": self.run}) + "\n"])

    def add(self, rows: Sequence[tuple[str, str | None, str | None, Mapping[str, Sequence[Feedback]]]]) -> None:
        """Note rows that were delivered: key, trace, span, and what each scorer said."""
        if self._file is None:
            return
        lines = []
        for key, trace_id, span_id, scores in rows:
            values = {scorer: [feedback_values(feedback) for feedback in found] for scorer, found in scores.items()}
            line = {"row": key, "trace_id": trace_id, "span_id": span_id, "scores": values}
            lines.append(_JSON.encode(line) + "\n")
        self._write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        if self._file is None:
            return
        try:
            self._file.write("".join(lines))
            self._file.flush()
        except OSError as error:
            warn_once("evaluation journal", "%s cannot be written (%s): a kill would lose its place", self.path, error)
            self.close()

    def close(self, *, finished: bool = False) -> None:
        """Let go of the file. Delete it if nothing is left to do."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            if finished:
                self.path.unlink(missing_ok=True)
            file.close()

    def _read(self, file: IO[str]) -> None:
        file.seek(0)
        end = 0
        for values, position in _lines(file):
            end = position
            if "run" in values:
                self.run = values["run"]
                continue
            row = self.rows.get(values["row"])
            if row is not None:
                values["scores"] = {**json.loads(row._line), **values["scores"]}
            self.rows[values["row"]] = DoneRow(values)
        # The last line may be incomplete, if the kill came while it was written.
        file.seek(end)
        file.truncate()


def _lines(file: IO[str]) -> Iterator[tuple[dict[str, Any], int]]:
    while True:
        line = file.readline()
        if not line.endswith("\n"):
            return
        try:
            values = json.loads(line)
            _ = (values["row"], values["scores"]) if "run" not in values else values["run"]["id"]
        except (ValueError, KeyError, TypeError):
            return
        yield values, file.tell()


def _locked(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows. Two at once would write into each other's lines, and reading stops there
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
