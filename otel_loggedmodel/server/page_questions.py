# SPDX-License-Identifier: Apache-2.0
"""What is asked of the store for each page: the parameters of its address, and the values that its template shows."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final

from starlette.requests import Request

from otel_loggedmodel.pages import comparison, rows, runs, trace, traces, version, versions
from otel_loggedmodel.pages.addresses import SELECTION, Chosen, Links
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.server.api import MAX_COMPARED, TRACE_ORDERS
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.store.reading import (
    FOUND_BY,
    AmbiguousVersionError,
    Reader,
    RowFilter,
    RunFilter,
    Selection,
    TraceFilter,
    UnknownRunError,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.trace_results import TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

_MOST_VERSIONS: Final = 10_000
_MOST_NAMES: Final = 1000
_TRACES_A_PAGE: Final = 50
_TRACES_OF_A_KIND: Final = 5
_MOST_PAGES: Final = 1000
_MOST_PAIRS: Final = 20
_MOST_RUNS: Final = 200


@dataclass(frozen=True)
class Page:
    """A page that is asked for.

    Attributes:
        name: The page's name.
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
    chosen, selection = _chosen(query)
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
        listing = versions.listed(found, which)
        places = versions.places_of(reader.deployments(), listing)
        deployed_ids = [one.model_id for place in places for one, _ in place.versions]
        activities = reader.activities(list(dict.fromkeys([*listing.model_ids, *deployed_ids])), selection)
        links = Links(chosen)
        given = [(name, value) for name, value in request.query_params.multi_items() if name in _OF_VERSIONS]
        return {
            **versions.values(listing, activities, places, which, chosen),
            "datasets": _datasets(reader),
            "is_empty": not found and not chosen.parameters,
            "address": address,
            "page_address": lambda page: links.versions(*given, ("page", page)),
        }

    return Page("versions", "Versions", "versions.html", make)


def comparison_page(request: Request) -> Page:
    """Versions side by side."""
    query = _query(request, {"version", "rows"})
    chosen, selection = _chosen(query)
    asked = [value for value in query.get("version", ()) if value]
    if not asked:
        return _choosing(chosen)
    if len(asked) > MAX_COMPARED:
        raise BadParameterError(f"The address names {len(asked)} versions: {MAX_COMPARED} can be compared at once.")
    limit = _number(query, "rows", rows.LIMITS[0])

    def make(reader: Reader) -> Mapping[str, Any]:
        compared = reader.compare(asked, selection)
        activities = reader.activities(asked, selection)
        behaviour = reader.behaviour(asked, selection)
        changed: Sequence[RowChange] = ()
        if len(asked) == 2 and rows.have_rows(compared):
            changed = reader.rows(asked, RowFilter(limit=limit), selection)
        known = _known(reader)
        shown = comparison.values(compared, activities, behaviour, changed, chosen, limit, known)
        calls = titles_of(compared, known).calls
        return {
            "run_tables": _run_tables(reader, asked, [one.model_id for one in compared.versions]),
            **shown,
            "title": f"{' and '.join(calls[1:4])} against {calls[0]}" if len(calls) > 1 else f"{calls[0]}",
            "asked": asked,
            "datasets": _datasets(reader),
            "known_names": _names(known),
        }

    return Page("compare", "Compare", "compare.html", make)


def _run_tables(reader: Reader, asked: Sequence[str], ids: Sequence[str]) -> Sequence[runs.Table]:
    """The runs of the data set that two runs are of, where two runs are compared."""
    # The id of a run is that of a trace.
    if len(asked) != 2 or not all(map(_TRACE_ID.fullmatch, ids)):
        return ()
    found = reader.runs(RunFilter(limit=_MOST_RUNS))
    own = [run for run in found if run.run_id in ids]
    if {run.run_id for run in own} != set(ids):
        return ()
    datasets = {run.dataset for run in own}
    letters = dict(zip(ids, "AB", strict=True))
    return runs.tables_of([run for run in found if run.dataset in datasets], letters)


def _choosing(chosen: Chosen) -> Page:
    """What is shown where nothing is ticked."""

    def make(reader: Reader) -> Mapping[str, Any]:
        known = _known(reader)
        listing = versions.listed(list(known.values()), versions.Filter())
        pairs = [
            (Title.of(group[0].previous), group[0].title)
            for _, group in listing.groups
            if group[0].previous is not None
        ]
        titles = [Title.of(version) for version in known.values()]
        return {"chosen": chosen, "links": Links(chosen), "titles": titles, "pairs": pairs[:_MOST_PAIRS]}

    return Page("compare", "Compare", "choose.html", make)


def version_page(request: Request) -> Page:
    """One version."""
    query = _query(request, {"id"})
    chosen, selection = _chosen(query)
    model_id = _one(query, "id")
    if model_id is None:
        raise BadParameterError("The address names no version.")

    def make(reader: Reader) -> Mapping[str, Any]:
        detail = _version_or_of_run(reader, model_id, selection)
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
        evaluated = reader.runs(RunFilter(version=own_id, limit=_MOST_RUNS))
        shown = version.values(detail, found, reader.deployments(), chosen, evaluated)
        return {**shown, "title": shown["own"].full, "datasets": _datasets(reader)}

    return Page("version", "Version", "version.html", make)


def _version_or_of_run(reader: Reader, text: str, selection: Selection) -> VersionDetail:
    """A version. If a run is named, the version that it evaluated: comparisons link to runs as they do to versions."""
    try:
        return reader.version(text, selection)
    except UnknownVersionError as error:
        try:
            behind = next((run.model_id for run in reader.run(text) if run.model_id), None)
        except UnknownRunError:
            behind = None
        if behind is None:
            raise error from None
        return reader.version(behind, selection)


def runs_page(request: Request) -> Page:
    """Evaluation runs, by data set."""
    query = _query(request, {"version", "dataset"})
    version_asked, dataset = _one(query, "version"), _one(query, "dataset")

    def make(reader: Reader) -> Mapping[str, Any]:
        found = reader.runs(RunFilter(version=version_asked, dataset=dataset, limit=_MOST_RUNS))
        return {
            "tables": runs.tables_of(found),
            "version": version_asked or "",
            "dataset": dataset or "",
            "datasets": _datasets(reader),
            "known_names": _names(_known(reader)),
            "links": Links(),
            "is_cut": len(found) == _MOST_RUNS,
            "most": _MOST_RUNS,
        }

    return Page("runs", "Runs", "runs.html", make)


def run_page(request: Request) -> Page:
    """One evaluation run."""
    query = _query(request, {"id"})
    asked = _one(query, "id")
    if asked is None:
        raise BadParameterError("The address names no run.")

    def make(reader: Reader) -> Mapping[str, Any]:
        parts = reader.run(asked)
        run = parts[0]
        others = reader.runs(RunFilter(dataset=run.dataset, limit=_MOST_RUNS)) if run.dataset else parts
        worst, failed = (
            reader.traces(run.run_id, TraceFilter(errors_only=errors_only, order=order, limit=_TRACES_OF_A_KIND))
            for order, errors_only in (("worst", False), ("newest", True))
        )
        shown = runs.values(parts, others, worst, failed)
        return {**shown, "title": f"Run {shown['own'].title}"}

    return Page("runs", "Run", "run.html", make)


def traces_page(request: Request) -> Page:
    """Traces, of one version or of all."""
    query = _query(request, {"version", "order", "errors_only", "page", *FOUND_BY})
    chosen, selection = _chosen(query)
    model_id, order, page = _one(query, "version"), _one(query, "order") or "newest", _number(query, "page")
    errors_only = _one(query, "errors_only") == "true"
    if order not in TRACE_ORDERS:
        raise BadParameterError(f"There is no such order of traces: use one of {', '.join(TRACE_ORDERS)}.")
    found_by = {name: _one(query, name) for name in FOUND_BY}
    which = TraceFilter(
        errors_only=errors_only,
        order=order,
        limit=_TRACES_A_PAGE + 1,
        offset=(page - 1) * _TRACES_A_PAGE,
        **found_by,
    )
    # The same for every page and order, so that it is asked once.
    of_all = replace(which, order=TraceFilter.order, limit=TraceFilter.limit, offset=0)

    def make(reader: Reader) -> Mapping[str, Any]:
        found = reader.traces(model_id, which, selection)
        facets = reader.facets(model_id, of_all, selection)
        known = _known(reader)
        links = Links(chosen)
        kept: list[tuple[str, object]] = [("errors_only", "true")] if errors_only else []
        kept += [(name, value) for name, value in found_by.items() if value is not None]
        offered = (one.value for one in facets.values.get("version", ()))
        titles = _titles(known, (*(trace.model_id for trace in found), *offered))
        return {
            "known_names": _names(known),
            "order": order,
            "orders": TRACE_ORDERS,
            "errors_only": errors_only,
            "found": _in_reading_order(found[:_TRACES_A_PAGE], found_by, order),
            "titles": titles,
            "has_more": len(found) > _TRACES_A_PAGE,
            "page": page,
            "page_address": lambda number: links.traces(model_id, order, *kept, ("page", number)),
            "datasets": _datasets(reader),
            "chosen": chosen,
            "links": links,
            **traces.values(
                request.query_params.multi_items(), titles, found[:_TRACES_A_PAGE], facets, before=which.offset
            ),
        }

    return Page("traces", "Traces", "traces.html", make)


def _in_reading_order(
    found: Sequence[TraceSummary], found_by: Mapping[str, str | None], order: str
) -> Sequence[TraceSummary]:
    """A conversation is read from its beginning on."""
    return found[::-1] if found_by["conversation"] is not None and order == TraceFilter.order else found


def trace_page(request: Request) -> Page:
    """One trace."""
    query = _query(request, {"id", "span", "text", "only", "page", "stored"})
    trace_id, span_id = _one(query, "id"), _one(query, "span")
    if trace_id is None:
        raise BadParameterError("The address names no trace.")
    text, only = _one(query, "text") or "", _one(query, "only") or ""
    page = _number(query, "page", 0)

    def make(reader: Reader) -> Mapping[str, Any]:
        found = trace.values(reader.trace(trace_id, trace.MOST_SPANS), span_id, text, only, page)
        links = Links()
        title_by_id = _titles(_known(reader), found["versions"])

        def page_address(number: int) -> str:
            return links.trace(trace_id, ("text", text), ("only", only), ("page", number))

        return {
            **found,
            "title": f"{found['heading'][:80]} ({trace_id[:8]})",
            "title_by_id": title_by_id,
            "titles": list(title_by_id.values()),
            "page_address": page_address,
            "stored": _one(query, "stored") or "",
            "datasets": _datasets(reader),
        }

    return Page("trace", f"Trace {trace_id[:8]}", "trace.html", make)


def found_by(reader: Reader, text: str) -> str:
    """The address of what a text names: a trace, a version, else the traces that have it."""
    links = Links()
    if not text:
        return links.versions()
    if _TRACE_ID.fullmatch(text.lower()):
        try:
            return links.trace(reader.trace(text.lower(), 1).trace_id)
        except UnknownTraceError:
            pass
    try:
        return links.version(reader.version(text).version.model_id)
    except (UnknownVersionError, AmbiguousVersionError):
        pass
    if any(versions.Filter(text=text).admits(version) for version in _known(reader).values()):
        return links.versions(("text", text))
    return links.traces(None, "newest", ("text", text))


_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_OF_VERSIONS: Final = frozenset({"text", "name", "tag", "deleted"})


def _query(request: Request, known: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    unknown = sorted(set(found) - known - SELECTION)
    if unknown:
        raise BadParameterError(f"The address has a parameter that is unknown here: {', '.join(unknown)}.")
    return found


def _chosen(query: Mapping[str, Sequence[str]]) -> tuple[Chosen, Selection]:
    """Which traces count, and the same for a reader."""
    chosen = Chosen.of(query)
    now = time.time()
    # What `24h` means changes once a minute, so that its answers are good for some time.
    minute = datetime.fromtimestamp(now // 60 * 60, timezone.utc)
    return chosen, chosen.selection(minute)


def _datasets(reader: Reader) -> list[str]:
    """What data sets can be chosen by: their names, each of which may stand for several, else their digests."""
    return list(dict.fromkeys(dataset.name or dataset.digest for dataset in reader.datasets() if dataset.digest))


def _known(reader: Reader) -> dict[str, Version]:
    """The versions by their ids, those that were used or made last first."""
    found = reader.versions(VersionFilter(limit=_MOST_NAMES, counted=False))
    return {version.model_id: version for version in found}


def _names(known: Mapping[str, Version]) -> list[str]:
    """The names of versions, each once."""
    return list(dict.fromkeys(version.name for version in known.values() if version.name is not None))


def _titles(known: Mapping[str, Version], model_ids: Iterable[str]) -> dict[str, Title]:
    """What versions are called, by their ids."""
    return {
        model_id: Title.of(known[model_id]) if model_id in known else Title(model_id=model_id)
        for model_id in dict.fromkeys(model_ids)
    }


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next((value for value in query.get(name, ()) if value), None)


def _number(query: Mapping[str, Sequence[str]], name: str, default: int = 1) -> int:
    text = _one(query, name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > _MOST_PAGES:
        raise BadParameterError(f"{name} is {text!r}: expected a number up to {_MOST_PAGES}.")
    return max(int(text), default)
