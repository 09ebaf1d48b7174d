# SPDX-License-Identifier: Apache-2.0
"""What is asked of the store for each page: the parameters of its address, and the values that its template shows.

Those of traces are in `trace_questions`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request

from otel_loggedmodel.pages import comparison, rows, runs, version, versions
from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.server.api import MAX_COMPARED
from otel_loggedmodel.server.page_parts import (
    ID_OF_TRACE,
    Page,
    address_of,
    chosen_of,
    datasets_of,
    known_versions,
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
    RowFilter,
    RunFilter,
    Selection,
    TraceFilter,
    UnknownRunError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.version_results import VersionDetail

_OF_VERSIONS: Final = frozenset({"text", "name", "tag", "deleted"})
_MOST_VERSIONS: Final = 10_000
_TRACES_OF_A_KIND: Final = 5
# Which traces the page of a version has, with their orders; `failed` are the newest of those that failed.
_KINDS: Final = (
    ("Slowest", "slowest"),
    ("Costliest", "costliest"),
    ("Worst scored", "worst"),
    ("Failed", "failed"),
)
_MOST_PAGES: Final = 1000
_MOST_PAIRS: Final = 20
_MOST_RUNS: Final = 200


def versions_page(request: Request) -> Page:
    """The first page: the versions that there are."""
    query = query_of(request, {"text", "name", "tag", "deleted", "page"})
    chosen, selection = chosen_of(query)
    which = versions.Filter(
        text=one(query, "text") or "",
        name=one(query, "name"),
        tag=one(query, "tag") or "",
        deleted=one(query, "deleted") == "true",
        page=number(query, "page"),
    )
    address = address_of(request)

    def make(reader: Remembering) -> Mapping[str, Any]:
        found = reader.versions(VersionFilter(deleted=True, limit=_MOST_VERSIONS, counted=False), selection)
        listing = versions.listed(found, which)
        places = versions.places_of(reader.deployments(), listing)
        deployed_ids = [deployment.model_id for place in places for deployment, _ in place.versions]
        activities = reader.activities(list(dict.fromkeys([*listing.model_ids, *deployed_ids])), selection)
        links = Links(chosen)
        given = [(name, value) for name, value in request.query_params.multi_items() if name in _OF_VERSIONS]
        return {
            **versions.values(listing, activities, places, which, chosen),
            "datasets": datasets_of(reader),
            "is_empty": not found and not chosen.parameters,
            "address": address,
            "page_address": lambda page: links.versions(*given, ("page", page)),
        }

    return Page("versions", "Versions", "versions.html", make)


def comparison_page(request: Request) -> Page:
    """Versions side by side."""
    query = query_of(request, {"version", "rows", "score", "change"})
    chosen, selection = chosen_of(query)
    asked = [value for value in query.get("version", ()) if value]
    if not asked:
        return _choosing(chosen)
    if len(asked) > MAX_COMPARED:
        raise BadParameterError(f"The address names {len(asked)} versions: {MAX_COMPARED} can be compared at once.")
    which = RowFilter(
        score=one(query, "score"),
        limit=number(query, "rows", rows.LIMITS[0]),
        change=one(query, "change"),
        # A row of the table has a cell for each score.
        with_others=True,
    )
    at_store = store_option(request)

    def make(reader: Remembering) -> Mapping[str, Any]:
        compared = reader.compare(asked, selection)
        activities = reader.activities(asked, selection)
        behaviour = reader.behaviour(asked, selection)
        changed: Sequence[RowChange] = ()
        if len(asked) == 2 and rows.have_rows(compared):
            changed = reader.rows(asked, which, selection)
        known = known_versions(reader, (version.model_id for version in compared.versions))
        shown = comparison.values(compared, activities, behaviour, changed, chosen, which, known)
        calls = titles_of(compared, known).calls
        return {
            "run_tables": _run_tables(reader, asked, [one.model_id for one in compared.versions]),
            **shown,
            "at_store": at_store,
            "title": f"{' and '.join(calls[1:4])} against {calls[0]}" if len(calls) > 1 else f"{calls[0]}",
            "asked": asked,
            "datasets": datasets_of(reader),
            "known_names": names_of(known),
        }

    return Page("compare", "Compare", "compare.html", make)


def _run_tables(reader: Remembering, asked: Sequence[str], ids: Sequence[str]) -> Sequence[runs.Table]:
    """The runs of the data set that two runs are of, where two runs are compared."""
    # The id of a run is that of a trace.
    if len(asked) != 2 or not all(map(ID_OF_TRACE.fullmatch, ids)):
        return ()
    found = reader.runs(RunFilter(limit=_MOST_RUNS))
    own = [run for run in found if run.run_id in ids]
    if {run.run_id for run in own} != set(ids):
        return ()
    datasets = {run.dataset for run in own}
    letters = dict(zip(ids, "AB", strict=True))
    listed = [run for run in found if run.dataset in datasets]
    return runs.tables_of(listed, letters, _titles_of_runs(reader, listed))


def _titles_of_runs(reader: Remembering, found: Sequence[Run]) -> Mapping[str, Title]:
    """What the versions of runs are called."""
    model_ids = [run.model_id for run in found if run.model_id]
    return titles_of_ids(known_versions(reader, model_ids), model_ids)


def _choosing(chosen: Chosen) -> Page:
    """What is shown where nothing is ticked."""

    def make(reader: Remembering) -> Mapping[str, Any]:
        known = known_versions(reader)
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
    query = query_of(request, {"id"})
    chosen, selection = chosen_of(query)
    model_id = one(query, "id")
    if model_id is None:
        raise BadParameterError("The address names no version.")

    def make(reader: Remembering) -> Mapping[str, Any]:
        detail = _version_or_of_run(reader, model_id, selection)
        own_id = detail.version.model_id
        kinds = [
            TraceFilter(
                errors_only=order == "failed",
                order="newest" if order == "failed" else order,
                limit=_TRACES_OF_A_KIND,
            )
            for _, order in _KINDS
        ]
        lists = reader.lists(own_id, kinds, selection)
        found = [(label, order, listed) for (label, order), listed in zip(_KINDS, lists, strict=True)]
        evaluated = reader.runs(RunFilter(version=own_id, limit=_MOST_RUNS))
        shown = version.values(detail, found, reader.deployments(), chosen, evaluated)
        return {**shown, "title": shown["own"].full, "datasets": datasets_of(reader)}

    return Page("version", "Version", "version.html", make)


def _version_or_of_run(reader: Remembering, text: str, selection: Selection) -> VersionDetail:
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
    query = query_of(request, {"version", "dataset"})
    version_asked, dataset = one(query, "version"), one(query, "dataset")

    def make(reader: Remembering) -> Mapping[str, Any]:
        found = reader.runs(RunFilter(version=version_asked, dataset=dataset, limit=_MOST_RUNS))
        return {
            "tables": runs.tables_of(found, titles=_titles_of_runs(reader, found)),
            "version": version_asked or "",
            "dataset": dataset or "",
            "datasets": datasets_of(reader, evaluated=False),
            "known_names": names_of(known_versions(reader)),
            "links": Links(),
            "is_cut": len(found) == _MOST_RUNS,
            "most": _MOST_RUNS,
        }

    return Page("runs", "Runs", "runs.html", make)


def run_page(request: Request) -> Page:
    """One evaluation run."""
    query = query_of(request, {"id"})
    asked = one(query, "id")
    if asked is None:
        raise BadParameterError("The address names no run.")

    def make(reader: Remembering) -> Mapping[str, Any]:
        parts = reader.run(asked)
        run = parts[0]
        others = reader.runs(RunFilter(dataset=run.dataset, limit=_MOST_RUNS)) if run.dataset else parts
        kinds = [
            TraceFilter(errors_only=errors_only, order=order, limit=_TRACES_OF_A_KIND)
            for order, errors_only in (("worst", False), ("newest", True))
        ]
        worst, failed = reader.lists(run.run_id, kinds)
        shown = runs.values(parts, others, worst, failed, _titles_of_runs(reader, [*parts, *others]))
        return {**shown, "title": f"Run {shown['own'].title}"}

    return Page("runs", "Run", "run.html", make)
