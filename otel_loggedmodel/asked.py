# SPDX-License-Identifier: Apache-2.0
"""Answers to the questions of `asking`, which show themselves as tables in a notebook. Needs the extra `server`."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload
from urllib.parse import urlencode

from otel_loggedmodel import environment
from otel_loggedmodel.pages import picture
from otel_loggedmodel.pages.addresses import Chosen
from otel_loggedmodel.pages.evidence import evidence_of
from otel_loggedmodel.pages.picture import Picture
from otel_loggedmodel.pages.report import report
from otel_loggedmodel.pages.rows import have_rows
from otel_loggedmodel.pages.templates import render
from otel_loggedmodel.presenting import deciding
from otel_loggedmodel.presenting.metrics import metrics_of, value_of
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.store import open_reader
from otel_loggedmodel.store.chart_results import Activities, Behaviour
from otel_loggedmodel.store.choosing import default_store
from otel_loggedmodel.store.reading import Reader, RowFilter, VersionFilter
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.version_results import Version

if TYPE_CHECKING:
    import pandas

_MOST_ROWS: Final = 100


@dataclass(frozen=True)
class ComparisonResult:
    """Versions side by side, as `compare` returns them.

    Attributes:
        comparison: Every number, as the JSON of the command line has it.
        changed_rows: If two versions are compared, the rows of data sets that changed most.
        store: Where it was read.
    """

    comparison: Comparison
    changed_rows: Sequence[RowChange]
    store: str
    _activities: Activities
    _behaviour: Behaviour
    _chosen: Chosen

    @property
    def sentence(self) -> str:
        """The decision in words; of several versions, a sentence each."""
        return "\n".join(self._sentences)

    @property
    def groups(self) -> dict[str, str]:
        """What quality, errors, speed and cost of the last version come to: `better`, `worse`, `mixed`, ..."""
        if not self.comparison.differences:
            return {}
        return {one.key: str(one.outcome) for one in deciding.groups_of(self.comparison.differences[-1])}

    def to_frame(self) -> "pandas.DataFrame":
        """The metrics, one row each: a column for each version, and how it differs from the first.

        Raises:
            ImportError: pandas is not installed.
        """
        titles = titles_of(self.comparison).titles
        rows = []
        for metric in metrics_of(self.comparison.versions):
            row: dict[str, Any] = {"metric": metric.key}
            for place, (title, version) in enumerate(zip(titles, self.comparison.versions, strict=True)):
                row[title.full] = value_of(version, metric.key)
                if place and place <= len(self.comparison.differences):
                    difference = self.comparison.differences[place - 1].metrics.get(metric.key)
                    row[f"change of {title.full}"] = None if difference is None else difference.delta
                    row[f"verdict on {title.full}"] = None if difference is None else str(difference.verdict)
            rows.append(row)
        return _pandas().DataFrame(rows).set_index("metric")

    def plots(self) -> dict[str, Picture]:
        """Pictures as SVG, by what they show: `decision`, `Distribution of latency`, `Latency p95` over time, ...

        A notebook shows each; `save` writes it as a file.
        """
        drawn = picture.plots(self.comparison, self._activities, self._behaviour)
        return {"decision": picture.decision(self.comparison), **{one.title: one for one in drawn}}

    def save(self, path: str | Path) -> None:
        """Write it, charts included, as one HTML file that needs no other; to `.svg`, the decision alone."""
        if Path(path).suffix.lower() == ".svg":
            picture.decision(self.comparison).save(path)
            return
        text = report(
            self.comparison,
            self._activities,
            self._behaviour,
            self.changed_rows,
            self._chosen,
            _MOST_ROWS,
            time.time() * 1000,
        )
        Path(path).write_text(text, encoding="utf-8", errors="replace")

    @property
    def _sentences(self) -> list[str]:
        calls = titles_of(self.comparison).calls
        return [
            deciding.sentence(deciding.groups_of(differences), calls[0], calls[place])
            for place, differences in enumerate(self.comparison.differences, start=1)
        ]

    def _distribution(self) -> list[Picture]:
        return picture.plots(self.comparison, self._activities, self._behaviour)[:1]

    def __repr__(self) -> str:
        """The decision in words."""
        return self.sentence or f"{self.comparison.versions[0].model_id}, with nothing to compare it with"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        ids = [version.model_id for version in self.comparison.versions]
        values = {
            "titles": titles_of(self.comparison).titles,
            "sentences": self._sentences,
            "groups": [deciding.groups_of(differences) for differences in self.comparison.differences],
            "evidence": evidence_of(self.comparison),
            "configuration": self.comparison.configuration,
            "notes": self.comparison.notes,
            "pictures": [picture.decision(self.comparison), *self._distribution()],
            "address": _address(self.store, "/compare", [("version", one) for one in ids]),
        }
        return render("notebook_comparison.html", values)


class Versions(Sequence[Version]):
    """Versions, as `list_versions` returns them; those that were used or made last first."""

    def __init__(self, found: Sequence[Version], store: str) -> None:
        self._found = list(found)
        self.store = store

    @overload
    def __getitem__(self, place: int) -> Version: ...
    @overload
    def __getitem__(self, place: slice) -> "Versions": ...
    def __getitem__(self, place: int | slice) -> "Version | Versions":
        """A version, or some of them."""
        return Versions(self._found[place], self.store) if isinstance(place, slice) else self._found[place]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def to_frame(self) -> "pandas.DataFrame":
        """One row for each version, by its id.

        Raises:
            ImportError: pandas is not installed.
        """
        columns = ("model_id", "name", "status", "traces", "errors", "p95_ms", "last_seen_ms", "params", "tags")
        rows = [{name: getattr(version, name) for name in columns} for version in self._found]
        return _pandas().DataFrame(rows, columns=list(columns)).set_index("model_id")

    def __repr__(self) -> str:
        """A line for each version."""
        return "\n".join(f"{Title.of(one).full}: {one.traces:,} traces" for one in self._found) or "no versions"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        shown = [(version, Title.of(version)) for version in self._found]
        return render("notebook_versions.html", {"shown": shown, "address": _address(self.store, "/", [])})


def compared(versions: Sequence[str], chosen: Chosen, store: str | None, token: str | None) -> ComparisonResult:
    """The answer of `compare`."""
    selection = chosen.selection(datetime.now(timezone.utc))
    with _reader(store, token) as (reader, url):
        found = reader.compare(versions, selection)
        changed: Sequence[RowChange] = ()
        if len(versions) == 2 and have_rows(found):
            changed = reader.rows(versions, RowFilter(limit=_MOST_ROWS), selection)
        return ComparisonResult(
            found, changed, url, reader.activities(versions, selection), reader.behaviour(versions, selection), chosen
        )


def found(which: VersionFilter, store: str | None, token: str | None) -> Versions:
    """The answer of `list_versions`."""
    with _reader(store, token) as (reader, url):
        return Versions(reader.versions(which), url)


@contextmanager
def _reader(store: str | None, token: str | None) -> Iterator[tuple[Reader, str]]:
    url = store or os.environ.get(environment.OTEL_LOGGEDMODEL_STORE) or default_store()
    reader = open_reader(url, token=token or os.environ.get(environment.OTEL_LOGGEDMODEL_TOKEN) or None)
    try:
        yield reader, url
    finally:
        reader.close()


def _address(store: str, path: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Where a running backend shows the same; empty for any other store."""
    if not store.startswith(("http://", "https://")):
        return ""
    return store.rstrip("/") + path + (f"?{urlencode(parameters)}" if parameters else "")


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"a frame needs: pip install pandas ({error})") from None
    return pandas
