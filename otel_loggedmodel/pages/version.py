# SPDX-License-Identifier: Apache-2.0
"""One version: what it is made of, how it does, what happened to it, how to deploy it, and traces to look at."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel._checking import check_name
from otel_loggedmodel.pages import runs
from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.pages.comparison import Line
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.deploying import Syntax, lines_for, variables_for
from otel_loggedmodel.presenting.metrics import metrics_of, value_of
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.presenting.texts import cut
from otel_loggedmodel.store.chart_results import Deployment
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import TraceSummary
from otel_loggedmodel.store.version_results import HistoryEntry, VersionDetail
from otel_loggedmodel.versions.checkout import BRANCH_TAG, COMMIT_TAG, DIFF_TAG, REPOSITORY_TAG

_MOST_LINES: Final = 5000
_ATTRIBUTES: Final = ("host.name", "deployment.environment.name", "service.version", "k8s.namespace.name")


def values(
    detail: VersionDetail,
    traces: Sequence[tuple[str, str, Sequence[TraceSummary]]],
    deployments: Sequence[Deployment],
    chosen: Chosen,
    evaluated: Sequence[Run] = (),
) -> Mapping[str, Any]:
    """What the template shows.

    Args:
        detail: The version.
        traces: Lists of traces: their title, the order that they are in, and the traces.
        deployments: What runs now.
        chosen: Which traces count.
        evaluated: Its evaluation runs, the newest first.
    """
    version = detail.version
    numbers = [
        (metric.label, metric.write(value_of(detail.metrics, metric.key))) for metric in metrics_of([detail.metrics])
    ]
    diff = version.tags.get(DIFF_TAG)
    return {
        "version": version,
        "own": Title.of(version),
        "deployed": [one for one in deployments if one.model_id == version.model_id],
        "numbers": [(label, text) for label, text in numbers if text != formatting.ABSENT],
        "params": sorted(version.params.items()),
        "tags": [(key, value) for key, value in sorted(version.tags.items()) if key != DIFF_TAG],
        "commit": version.tags.get(COMMIT_TAG),
        "branch": version.tags.get(BRANCH_TAG),
        "repository": version.tags.get(REPOSITORY_TAG),
        "diff": [_line(text) for text in diff.splitlines()[:_MOST_LINES]] if diff else None,
        "history": [(entry, _what(entry)) for entry in reversed(detail.history)],
        "places": _places(detail.history),
        "deploying": _deploying(version.model_id),
        "previous": detail.previous,
        "traces": traces,
        "run_tables": runs.tables_of(evaluated, titles={version.model_id: Title.of(version)}),
        "run_histories": list(runs.histories(evaluated)),
        "chosen": chosen,
        "links": Links(chosen),
    }


def _line(text: str) -> Line:
    return Line(text[:1] if text[:1] in ("+", "-", "@") else " ", text)


def _what(entry: HistoryEntry) -> list[str]:
    changes = [f"status {entry.status}"] if entry.status and entry.kind != "activated" else []
    if entry.kind == "created":
        return [*changes, f"{len(entry.params)} params", f"{len(entry.tags)} tags"]
    changes += [f"{key} = {cut(value)}" for texts in (entry.params, entry.tags) for key, value in sorted(texts.items())]
    return changes + [f"{key} removed" for key in entry.tags_deleted]


def _places(history: Sequence[HistoryEntry]) -> list[tuple[str, str, int, int]]:
    """Where it ran: service, what is known of the process, how often it was activated there, and when last."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in history:
        if entry.kind == "activated":
            known = ", ".join(f"{key} {entry.resource[key]}" for key in _ATTRIBUTES if entry.resource.get(key))
            often, last = found.get((entry.service, known), (0, 0))
            found[entry.service, known] = (often + 1, max(last, entry.time_ms))
    return [(*place, *times) for place, times in sorted(found.items(), key=lambda one: -one[1][1])]


def _deploying(model_id: str) -> list[tuple[str, str]]:
    try:
        check_name(model_id, "the version's id")
    except ValueError:
        return []  # no environment variable can carry it
    variables = variables_for(model_id)
    return [(syntax.value, lines_for(variables, syntax)) for syntax in Syntax]
