# SPDX-License-Identifier: Apache-2.0
"""A question that was narrowed until nothing is left says so."""

from collections.abc import Callable

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.results import VersionMetrics
from otel_loggedmodel.store.version_results import Version, VersionDetail

from .doubles import V1, V2, compared, metrics

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _nothing_is_left(reader: MemoryReader) -> None:
    """Of the second version nothing is in the selection, and all of it is of two services."""
    reader.comparison = compared(metrics(V1), VersionMetrics(model_id=V2, name="agent-v2"))
    version = Version(model_id=V2, name="agent-v2", services=("checkout", "support"))
    reader.details = {V2: VersionDetail(version=version, metrics=metrics(V2, name="agent-v2"))}


def said(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.mark.parametrize(("command", "code"), [("compare", 0), ("gate", 2)])
def test_a_service_that_a_version_does_not_have_is_said(run: Run, command: str, code: int) -> None:
    output = said(run(command, "v1", "v2", "--service", "suport", code=code))
    assert (
        "Note: No trace of agent-v2 is of the service 'suport', but of checkout, support. Did you mean 'support'?"
    ) in output


def test_any_other_selection_of_nothing_is_said(run: Run) -> None:
    note = "1,204 traces of agent-v2 were received, and none of them is among those that were asked for."
    assert note in said(run("compare", "v1", "v2", "--attribute", "env=prod"))
    assert note in said(run("compare", "v1", "v2", "--service", "support", "--since", "1h"))
    assert note not in said(run("compare", "v1", "v2"))


def test_a_run_without_traces_is_no_reason_to_fail(run: Run, reader: MemoryReader) -> None:
    reader.details = {}
    assert "asked for" not in said(run("compare", "v1", "v2", "--since", "1h"))


def test_a_list_of_no_versions_tells_filters_from_an_empty_store(run: Run) -> None:
    assert "There is no version yet." in said(run("models"))
    for narrowing in (["--name", "nobody"], ["--since", "1h"], ["--service", "none"]):
        assert "No version matches; `otel-loggedmodel models` without options" in said(run("models", *narrowing))
    assert "There is no version yet." in said(run("models", "--limit", "3"))
