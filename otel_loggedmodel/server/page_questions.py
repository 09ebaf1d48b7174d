# SPDX-License-Identifier: Apache-2.0
"""What is asked of the store for each page: the parameters of its address, and the values that its template shows."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from starlette.requests import Request

from otel_loggedmodel.pages import comparison, rows, trace, version, versions
from otel_loggedmodel.pages.addresses import SELECTION, Chosen, Links
from otel_loggedmodel.pages.templates import short_id
from otel_loggedmodel.server.api import MAX_COMPARED, TRACE_ORDERS
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.store.reading import Reader, RowFilter, Selection, TraceFilter, VersionFilter
from otel_loggedmodel.store.results import RowChange

_MOST_VERSIONS: Final = 10_000
_MOST_NAMES: Final = 1000
_TRACES_A_PAGE: Final = 50
_TRACES_OF_A_KIND: Final = 5
_MOST_PAGES: Final = 1000


@dataclass(frozen=True)
class Page:
    """A page that is asked for.

    Attributes:
        name: Of the page.
        title: As the browser's tab shows it.
        make: Asks the store, and makes the values that the template shows.
        template: Its file.
    """

    name: str
    title: str
    template: str
    make: Callable[[Reader], Mapping[str, Any]]


def versions_page(request: Request) -> Page:
    """The first page: the versions that there are."""
    query = _query(request, {"text", "name", "tag", "deleted", "page"})
    chosen, selection, now_ms = _chosen(query)
    which = versions.Filter(
        text=_one(query, "text") or "",
        name=_one(query, "name"),
        tag=_one(query, "tag") or "",
        deleted=_one(query, "deleted") == "true",
        page=_number(query, "page"),
    )
    address = f"{request.url.scheme}://{request.headers.get('host', 'localhost:4318')}"

    def make(reader: Reader) -> Mapping[str, Any]:
        found = reader.versions(VersionFilter(deleted=True, limit=_MOST_VERSIONS, counted=False), selection)
        listing = versions.listed(found, which, now_ms)
        activities = reader.activities(listing.model_ids, selection)
        links = Links(chosen)
        given = [(name, value) for name, value in request.query_params.multi_items() if name in _OF_VERSIONS]
        return {
            **versions.values(listing, activities, which, chosen, now_ms),
            "datasets": _datasets(reader),
            "is_empty": not found and not chosen.parameters,
            "address": address,
            "page_address": lambda page: links.versions(*given, ("page", page)),
        }

    return Page("versions", "Versions", "versions.html", make)


def comparison_page(request: Request) -> Page:
    """Versions side by side."""
    query = _query(request, {"version", "rows"})
    chosen, selection, _ = _chosen(query)
    asked = [value for value in query.get("version", ()) if value]
    if not 1 <= len(asked) <= MAX_COMPARED:
        raise BadParameterError("Tick two or more versions on the first page to compare them.")
    limit = _number(query, "rows", rows.LIMITS[0])

    def make(reader: Reader) -> Mapping[str, Any]:
        compared = reader.compare(asked, selection)
        activities = reader.activities(asked, selection)
        behaviour = reader.behaviour(asked, selection)
        changed: Sequence[RowChange] = ()
        if len(asked) == 2 and rows.have_rows(compared):
            changed = reader.rows(asked, RowFilter(limit=limit), selection)
        shown = comparison.values(compared, activities, behaviour, changed, chosen, limit)
        return {**shown, "asked": asked, "datasets": _datasets(reader), "known_names": _names(reader)}

    title = "Compare " + " and ".join(map(short_id, asked[:3])) + (" and others" if len(asked) > 3 else "")
    return Page("compare", title, "compare.html", make)


def version_page(request: Request) -> Page:
    """One version."""
    query = _query(request, {"id"})
    chosen, selection, now_ms = _chosen(query)
    model_id = _one(query, "id")
    if model_id is None:
        raise BadParameterError("The address names no version.")

    def make(reader: Reader) -> Mapping[str, Any]:
        detail = reader.version(model_id, selection)
        own_id = detail.version.model_id
        found = []
        for label, order in (
            ("Slowest", "slowest"),
            ("Costliest", "costliest"),
            ("Worst scored", "worst"),
            ("Failed", "failed"),
        ):
            kind = TraceFilter(
                errors_only=order == "failed",
                order="newest" if order == "failed" else order,
                limit=_TRACES_OF_A_KIND,
            )
            found.append((label, order, reader.traces(own_id, kind, selection)))
        shown = version.values(detail, found, chosen, now_ms)
        return {**shown, "datasets": _datasets(reader)}

    return Page("version", f"Version {short_id(model_id)}", "version.html", make)


def traces_page(request: Request) -> Page:
    """Traces, of one version or of all."""
    query = _query(request, {"version", "order", "errors_only", "page"})
    chosen, selection, _ = _chosen(query)
    model_id, order, page = _one(query, "version"), _one(query, "order") or "newest", _number(query, "page")
    errors_only = _one(query, "errors_only") == "true"
    if order not in TRACE_ORDERS:
        raise BadParameterError(f"There is no such order of traces: use one of {', '.join(TRACE_ORDERS)}.")
    which = TraceFilter(
        errors_only=errors_only, order=order, limit=_TRACES_A_PAGE + 1, offset=(page - 1) * _TRACES_A_PAGE
    )

    def make(reader: Reader) -> Mapping[str, Any]:
        found = reader.traces(model_id, which, selection)
        links = Links(chosen)
        failed = [("errors_only", "true")] if errors_only else []
        return {
            "version": model_id,
            "known_names": _names(reader),
            "order": order,
            "orders": TRACE_ORDERS,
            "errors_only": errors_only,
            "found": found[:_TRACES_A_PAGE],
            "has_more": len(found) > _TRACES_A_PAGE,
            "page": page,
            "page_address": lambda number: links.traces(model_id, order, *failed, ("page", number)),
            "datasets": _datasets(reader),
            "chosen": chosen,
            "links": links,
        }

    title = "Traces" if model_id is None else f"Traces of {short_id(model_id)}"
    return Page("traces", title, "traces.html", make)


def trace_page(request: Request) -> Page:
    """One trace."""
    query = _query(request, {"id", "span", "text", "only", "page"})
    trace_id, span_id = _one(query, "id"), _one(query, "span")
    if trace_id is None:
        raise BadParameterError("The address names no trace.")
    text, only = _one(query, "text") or "", _one(query, "only") or ""
    page = _number(query, "page", 0)

    def make(reader: Reader) -> Mapping[str, Any]:
        found = trace.values(reader.trace(trace_id, trace.MOST_SPANS), span_id, text, only, page)
        links = Links()

        def page_address(number: int) -> str:
            return links.trace(trace_id, ("text", text), ("only", only), ("page", number))

        return {**found, "page_address": page_address}

    return Page("trace", f"Trace {trace_id[:12]}", "trace.html", make)


_OF_VERSIONS: Final = frozenset({"text", "name", "tag", "deleted"})


def _query(request: Request, known: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    unknown = sorted(set(found) - known - SELECTION)
    if unknown:
        raise BadParameterError(f"The address has a parameter that is unknown here: {', '.join(unknown)}.")
    return found


def _chosen(query: Mapping[str, Sequence[str]]) -> tuple[Chosen, Selection, int]:
    """Which traces count, the same for a reader, and the time in ms."""
    chosen = Chosen.of(query)
    now = time.time()
    # What `24h` means moves on by the minute, so that its answers are good for some time.
    minute = datetime.fromtimestamp(now // 60 * 60, timezone.utc)
    return chosen, chosen.selection(minute), int(now * 1000)


def _datasets(reader: Reader) -> list[str]:
    """What data sets can be chosen by: their names, each of which may stand for several, else their digests."""
    return list(dict.fromkeys(dataset.name or dataset.digest for dataset in reader.datasets()))


def _names(reader: Reader) -> dict[str, str]:
    """The names of versions by their ids, those that were used or made last first."""
    found = reader.versions(VersionFilter(limit=_MOST_NAMES, counted=False))
    return {version.model_id: version.name for version in found if version.name is not None}


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next((value for value in query.get(name, ()) if value), None)


def _number(query: Mapping[str, Sequence[str]], name: str, default: int = 1) -> int:
    text = _one(query, name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > _MOST_PAGES:
        raise BadParameterError(f"{name} is {text!r}: expected a number up to {_MOST_PAGES}.")
    return max(int(text), default)
