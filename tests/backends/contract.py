# SPDX-License-Identifier: Apache-2.0
"""What holds for every backend: nothing of an application is lost, and a version comes back as it was made."""

from collections.abc import Callable, Sequence

import pytest

from otel_loggedmodel.commands.diagnosis import backends
from otel_loggedmodel.commands.diagnosis.endpoint import endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Step
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.arriving import Arrived, events_of
from waiting import wait_until

from .application import PROCESSES
from .running import Seen, Version

Shown = Callable[[str], Sequence[Seen]]
"""The spans of a trace as a backend shows them, by its id; none if it does not know it."""


def whole(shown: Shown, version: Version) -> records.FoldedModel | None:
    """A version as a reader of that backend puts it together."""
    spans = [Arrived(span.attributes, span.start_ns, int(span.span_id, 16)) for span in shown(version.trace_id)]
    return records.fold(events_of(spans)).get(version.id)


def is_whole(shown: Shown, version: Version) -> bool:
    """Whether it has all of its params."""
    found = whole(shown, version)
    return found is not None and dict(found.model.params) == dict(version.params)


def check_spans(shown: Shown, version: Version, *, keeps_links: bool) -> None:
    """The traces of a version are there, with what says whose they are."""
    for trace_id, span_id in zip(version.traces, version.spans, strict=True):
        wait_until(lambda trace_id=trace_id: len(shown(trace_id)) >= 2, f"trace {trace_id}")
        by_name = {span.name: span for span in shown(trace_id)}
        answer, call = by_name["answer"], by_name["call llm"]
        assert (answer.span_id, answer.parent, call.parent) == (span_id, "", span_id)
        assert answer.attributes["logged_model.id"] == call.attributes["logged_model.id"] == version.id
        assert answer.attributes["logged_model.name"] == f"{version_name(version)}-agent"
        assert list(answer.links) == ([version.trace_id] if keeps_links else [])


def version_name(version: Version) -> str:
    """What the application calls it."""
    return "first" if version.params["llm"] == "small" else "second"


def check_result(shown: Shown, version: Version) -> None:
    """What was said of an answer later is in its trace."""

    def results() -> list[Seen]:
        return [span for span in shown(version.traces[0]) if span.name == "gen_ai.evaluation.result"]

    (result,) = wait_until(results, "the result")
    assert result.parent == version.spans[0]
    assert result.attributes["gen_ai.evaluation.name"] == "helpful"
    assert float(result.attributes["gen_ai.evaluation.score.value"]) == 0.75


def check_version(shown: Shown, version: Version) -> None:
    """Whoever puts the spans of a version's trace together gets what the application has made."""
    wait_until(lambda: is_whole(shown, version), f"version {version_name(version)}")
    found = whole(shown, version)
    assert found is not None
    assert dict(found.model.tags) == {"team": "shop"}
    assert found.model.name == f"{version_name(version)}-agent"
    assert not found.deleted


def check_announcements(shown: Shown, version: Version, *, roots: int) -> None:
    """A version that four hundred processes have announced is one version, of so many copies of its root."""

    def found() -> list[Seen]:
        return [span for span in shown(version.trace_id) if span.name == "logged_model.created"]

    wait_until(lambda: len(found()) >= roots, "the announcements")
    assert len({span.span_id for span in found()}) == 1
    assert len(found()) == roots
    assert PROCESSES > 1
    check_version(shown, version)


def said_by_doctor(url: str, monkeypatch: pytest.MonkeyPatch) -> Step:
    """What `doctor` says of the backend to which spans go."""
    monkeypatch.setattr(backends, "_SECONDS", 30.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    return backends.recognise(endpoint_of_environment(), Deadline(60))
