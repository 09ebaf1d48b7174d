# SPDX-License-Identifier: Apache-2.0
"""Says where a question was narrowed until nothing was left, as by a misspelt service."""

from dataclasses import replace

from otel_loggedmodel.presenting.texts import clean, did_you_mean
from otel_loggedmodel.store.reading import Reader, ReadingError, Selection
from otel_loggedmodel.store.results import Comparison, VersionMetrics


def explained(comparison: Comparison, reader: Reader, selection: Selection) -> Comparison:
    """The comparison with a note on each version that has no traces in the selection, but has some beyond it.

    Args:
        comparison: What was found.
        reader: Who found it.
        selection: What was asked for.
    """
    if selection == Selection():
        return comparison
    empty = [version for version in comparison.versions if not version.traces]
    said = tuple(filter(None, (_note(version, reader, selection) for version in empty)))
    return replace(comparison, notes=(*comparison.notes, *said)) if said else comparison


def _note(version: VersionMetrics, reader: Reader, selection: Selection) -> str:
    try:
        whole = reader.version(version.model_id)
    except ReadingError:
        # A run is compared by its own id.
        return ""
    if not whole.metrics.traces:
        return ""
    name = clean(version.name or version.model_id)
    services = whole.version.services
    if selection.service is not None and services and selection.service not in services:
        others = ", ".join(map(clean, services))
        meant = did_you_mean(selection.service, services)
        return f"No trace of {name} is of the service {clean(selection.service)!r}, but of {others}.{meant}"
    received = f"{whole.metrics.traces:,} traces of {name} were received"
    return f"{received}, and none of them is among those that were asked for."
