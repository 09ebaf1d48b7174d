# SPDX-License-Identifier: Apache-2.0
"""Addresses of pages. Each holds all that its page depends on, so that it can be sent to somebody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from otel_loggedmodel.presenting.selecting import selection_of
from otel_loggedmodel.store.reading import EVERYTHING, Selection

# `traffic` is what the field of a form says: `production`, or `dataset:` and the data set.
SELECTION: Final = frozenset(
    {
        *("since", "until", "service", "attribute", "dataset", "production", "traffic"),
        *("runs", "failed_rows", "pass_at"),
    }
)
PRODUCTION: Final = "production"
OF_DATASET: Final = "dataset:"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which traces count, as an address says it.

    Attributes:
        since: As `7d`, a date, or a time.
        until: The same.
        service: `service.name`.
        attributes: As `key=value`.
        dataset: Digest or name of a data set that was evaluated.
        production: Leave out what was evaluated on data sets.
        runs: `all` for the scores of all runs of a data set; else those of the latest.
        failed_rows: `zero` if rows that failed count as 0; else they are left out.
        pass_at: The `k` of pass@k.
    """

    since: str | None = None
    until: str | None = None
    service: str | None = None
    attributes: tuple[str, ...] = ()
    dataset: str | None = None
    production: bool = False
    runs: str | None = None
    failed_rows: str | None = None
    pass_at: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, Sequence[str]]) -> "Chosen":
        """What the parameters of an address say; an empty one, as forms send them, says nothing."""

        def one(name: str) -> str | None:
            return next((value for value in query.get(name, ()) if value), None)

        attributes = tuple(value for value in query.get("attribute", ()) if value)
        traffic = one("traffic") or ""
        if traffic not in ("", PRODUCTION) and not traffic.startswith(OF_DATASET):
            raise ValueError(f"traffic is {traffic!r}: expected {PRODUCTION}, or {OF_DATASET} and a data set")
        return cls(
            since=one("since"),
            until=one("until"),
            service=one("service"),
            attributes=attributes,
            dataset=(traffic.removeprefix(OF_DATASET) if traffic.startswith(OF_DATASET) else None) or one("dataset"),
            production=traffic == PRODUCTION or one("production") == "true",
            runs=one("runs"),
            failed_rows=one("failed_rows"),
            pass_at=one("pass_at"),
        )

    def selection(self, now: datetime) -> Selection:
        """The same for a reader.

        Args:
            now: What `7d` is counted from; aware.

        Raises:
            ValueError: A time or an attribute cannot be understood.
        """
        return selection_of(
            self.since,
            self.until,
            self.service,
            self.attributes,
            now,
            dataset=self.dataset,
            production=self.production,
            runs=self.runs or EVERYTHING.runs,
            failed_rows=self.failed_rows or EVERYTHING.failed_rows,
            pass_at=_whole_number(self.pass_at),
        )

    @property
    def traffic(self) -> str:
        """What the field of a form says of data sets and production."""
        return PRODUCTION if self.production else "" if self.dataset is None else f"{OF_DATASET}{self.dataset}"

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The same for an address."""
        named = (
            ("since", self.since),
            ("until", self.until),
            ("service", self.service),
            ("dataset", self.dataset),
            ("production", "true" if self.production else None),
            ("runs", self.runs),
            ("failed_rows", self.failed_rows),
            ("pass_at", self.pass_at),
        )
        return [
            *((name, value) for name, value in named if value is not None),
            *(("attribute", value) for value in self.attributes),
        ]


@dataclass(frozen=True)
class Links:
    """Makes addresses that keep what was chosen.

    Attributes:
        chosen: Which traces count.
    """

    chosen: Chosen = field(default_factory=Chosen)

    def versions(self, *parameters: tuple[str, object]) -> str:
        """The list of versions."""
        return self._address("/", parameters)

    def version(self, model_id: str, *parameters: tuple[str, object]) -> str:
        """One version."""
        return self._address("/version", [("id", model_id), *parameters])

    def runs(self, *parameters: tuple[str, object]) -> str:
        """Evaluation runs."""
        return _with("/runs", parameters)

    def run(self, run_id: str) -> str:
        """One evaluation run."""
        return _with("/run", [("id", run_id)])

    def row(self, dataset: str, row: str) -> str:
        """One row of a data set."""
        return _with("/row", [("dataset", dataset), ("row", row)])

    def compare(self, *model_ids: str, **rows: object) -> str:
        """Versions side by side; `rows` are the parameters that say which rows of data sets are shown, if not None."""
        which: list[tuple[str, object]] = [("version", model_id) for model_id in model_ids]
        which += [(name, value) for name, value in rows.items() if value is not None]
        return self._address("/compare", which)

    def traces(
        self, versions: str | Sequence[str] | None = None, order: str = "newest", *parameters: tuple[str, object]
    ) -> str:
        """Traces of a version, of several or of all, in some order."""
        which = [("version", one) for one in ([versions] if isinstance(versions, str) else versions or ())]
        return self._address("/traces", [*which, ("order", order), *parameters])

    def trace(self, trace_id: str, *parameters: tuple[str, object]) -> str:
        """One trace."""
        return _with("/trace", [("id", trace_id), *parameters])

    def _address(self, path: str, parameters: Sequence[tuple[str, object]]) -> str:
        return _with(path, [*parameters, *self.chosen.parameters])


def content_of_span(trace_id: str, span_id: str, *which: tuple[str, object]) -> str:
    """All of a value that a page shows the beginning of, or a file that a span carries."""
    return _with("/trace/content", [("id", trace_id), ("span", span_id), *which])


def _whole_number(text: str | None) -> int | None:
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 9):
        raise ValueError(f"pass_at is {text!r}: write of how many tries of a row one has to pass, a whole number")
    return None if text is None else int(text)


def _with(path: str, parameters: Sequence[tuple[str, object]]) -> str:
    # An address holds UTF-8 alone. A text that has none gets a replacement, and names nothing that exists.
    query = urlencode([(name, str(value)) for name, value in parameters], quote_via=quote, errors="replace")
    return f"{path}?{query}" if query else path
