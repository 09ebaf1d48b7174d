# SPDX-License-Identifier: Apache-2.0
"""What is asked of the store for the pages of traces: their list, one of them, and a row of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request

from otel_loggedmodel.attributes import EVALUATION_ROW
from otel_loggedmodel.pages import dataset_row, trace, traces, versions
from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.server.api import MAX_COMPARED, TRACE_ORDERS
from otel_loggedmodel.server.page_parts import (
    ID_OF_TRACE,
    Page,
    chosen_of,
    datasets_of,
    known_versions,
    meant,
    names_of,
    number,
    one,
    query_of,
    store_option,
    titles_of_ids,
)
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.server.remembering import Remembering
from otel_loggedmodel.store.reading import (
    FOUND_BY,
    AmbiguousVersionError,
    Selection,
    TraceFilter,
    UnknownTraceError,
    UnknownVersionError,
)
from otel_loggedmodel.store.trace_results import TraceSummary

_TRACES_A_PAGE: Final = 50
# Of so many versions those that may be added to a list are chosen.
_MOST_NEAR: Final = 50


def traces_page(request: Request) -> Page:
    """Traces, of one version or of all."""
    query = query_of(request, {"version", "order", "errors_only", "page", *FOUND_BY})
    chosen, selection = chosen_of(query)
    asked = list(dict.fromkeys(value for value in query.get("version", ()) if value)) or None
    order, page = one(query, "order") or "newest", number(query, "page")
    errors_only = one(query, "errors_only") == "true"
    if asked is not None and len(asked) > MAX_COMPARED:
        raise BadParameterError(f"The address names {len(asked)} versions: {MAX_COMPARED} can be listed at once.")
    if order not in TRACE_ORDERS:
        raise BadParameterError(f"There is no such order of traces: use one of {', '.join(TRACE_ORDERS)}.")
    found_by = {name: one(query, name) for name in FOUND_BY}
    which = TraceFilter(
        errors_only=errors_only,
        order=order,
        limit=_TRACES_A_PAGE + 1,
        offset=(page - 1) * _TRACES_A_PAGE,
        **found_by,
    )
    # The same for every page and order, so that it is asked once.
    of_all = replace(which, order=TraceFilter.order, limit=TraceFilter.limit, offset=0)

    def make(reader: Remembering) -> Mapping[str, Any]:
        found = reader.traces(asked, which, selection)
        facets = reader.facets(asked, of_all, selection)
        links = Links(chosen)
        kept: list[tuple[str, object]] = [("errors_only", "true")] if errors_only else []
        kept += [(name, value) for name, value in found_by.items() if value is not None]
        offered = (one.value for one in facets.values.get("version", ()))
        named = [*(trace.model_id for trace in found), *offered]
        known = known_versions(reader, named)
        chosen_ids = {text: meant(known, text, named) for text in asked or ()}
        # Those of the same names may be added first.
        names = {known[model_id].name for model_id in chosen_ids.values() if model_id in known}
        near = sorted(known, key=lambda model_id: known[model_id].name not in names) if asked else []
        titles = titles_of_ids(known, [*named, *near[:_MOST_NEAR]])
        return {
            "known_names": names_of(known),
            "order": order,
            "orders": TRACE_ORDERS,
            "errors_only": errors_only,
            "found": _in_reading_order(found[:_TRACES_A_PAGE], found_by, order),
            "titles": titles,
            "has_more": len(found) > _TRACES_A_PAGE,
            "page": page,
            "page_address": lambda number: links.traces(asked, order, *kept, ("page", number)),
            "datasets": datasets_of(reader),
            "chosen": chosen,
            "links": links,
            **traces.values(
                request.query_params.multi_items(),
                titles,
                found[:_TRACES_A_PAGE],
                facets,
                chosen_ids,
                before=which.offset,
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
    query = query_of(request, {"id", "span", "text", "only", "page", "stored", "from"})
    trace_id, span_id = one(query, "id"), one(query, "span")
    if trace_id is None:
        raise BadParameterError("The address names no trace.")
    text, only = one(query, "text") or "", one(query, "only") or ""
    page = number(query, "page", 0)
    at_store = store_option(request)
    came_from = traces.list_of(one(query, "from") or "")

    def make(reader: Remembering) -> Mapping[str, Any]:
        found = trace.values(reader.trace(trace_id, trace.MOST_SPANS), span_id, text, only, page)
        links = Links()
        title_by_id = titles_of_ids(known_versions(reader, found["versions"]), found["versions"])

        def page_address(number: int) -> str:
            return links.trace(trace_id, ("text", text), ("only", only), ("page", number), ("from", came_from))

        return {
            **found,
            "title": f"{found['heading'][:80]} ({trace_id[:8]})",
            "title_by_id": title_by_id,
            "titles": list(title_by_id.values()),
            "page_address": page_address,
            "at_store": at_store,
            "came_from": came_from,
            "stored": one(query, "stored") or "",
            "datasets": datasets_of(reader, evaluated=False),
        }

    return Page("trace", f"Trace {trace_id[:8]}", "trace.html", make)


def found_by(reader: Remembering, text: str) -> str:
    """The address of what a text names: a trace, a version, else the traces that have it."""
    links = Links()
    if not text:
        return links.versions()
    if ID_OF_TRACE.fullmatch(text.lower()):
        try:
            return links.trace(reader.trace(text.lower(), 1).trace_id)
        except UnknownTraceError:
            pass
    try:
        return links.version(reader.version(text).version.model_id)
    except (UnknownVersionError, AmbiguousVersionError):
        pass
    if any(versions.Filter(text=text).admits(version) for version in known_versions(reader).values()):
        return links.versions(("text", text))
    return links.traces(None, "newest", ("text", text))


def row_page(request: Request) -> Page:
    """One row of a data set."""
    query = query_of(request, {"row"})
    dataset, row = one(query, "dataset"), one(query, "row")
    if dataset is None or row is None:
        raise BadParameterError("The address names no row of a data set.")
    selection = Selection(dataset=dataset, attributes={EVALUATION_ROW: row})
    which = TraceFilter(limit=dataset_row.MOST_ANSWERS)

    def make(reader: Remembering) -> Mapping[str, Any]:
        found = reader.traces(None, which, selection)
        newest = reader.trace(found[0].trace_id, trace.MOST_SPANS) if found else None
        named = [one.model_id for one in found]
        titles = titles_of_ids(known_versions(reader, named), named)
        shown = dataset_row.values(dataset, row, found, newest, titles)
        return {
            **shown,
            "title": f"Row {row[:24]} of {shown['dataset_name'][:60]}",
            "is_cut": len(found) == which.limit,
        }

    return Page("runs", "Row", "row.html", make)
