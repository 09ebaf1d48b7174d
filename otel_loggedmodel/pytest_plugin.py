# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest: tests that are marked are rows of an evaluation run of the version under test.

    @pytest.mark.loggedmodel
    def test_names_the_capital(loggedmodel_row):
        answer = ask("What is the capital of France?")
        loggedmodel_row.score("short", len(answer) < 20)
        assert "Paris" in answer

Each marked test is a trace of the version, its assertions are the score `passed`, and what it says with
`loggedmodel_row` are further scores. A test that raises anything else than an AssertionError is a row that failed.
With pytest-xdist, all workers work for one run. Nothing is done where no version is named: with
`--loggedmodel-version`, the ini option `loggedmodel_version`, or the version of the environment.

This module is imported wherever pytest runs, of whatever release. So it imports the library only when there is
something to do, and takes nothing of pytest that earlier releases lack.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from otel_loggedmodel._pytest_rows import Recording

MARK: Final = "loggedmodel"
_PROPERTY: Final = "loggedmodel_row"
_HELP: Final = (
    "loggedmodel(group=None): the test is a row of an evaluation run of the version under test; rows of one group"
    " belong together"
)


@dataclass
class Row:
    """What a marked test says of itself, as its fixture `loggedmodel_row`.

    Attributes:
        inputs: What the version was asked; shown beside the row.
        outputs: What it answered.
        scores: What was said with `score`, by name: value and rationale.
    """

    inputs: Any = None
    outputs: Any = None
    scores: dict[str, tuple[bool | float | str, str | None]] = field(default_factory=dict)

    def score(self, name: str, value: bool | float | str, rationale: str | None = None) -> None:
        """Say how good the row is.

        Args:
            name: Of the score.
            value: A bool, a number, or a label.
            rationale: Why.

        Raises:
            ValueError: The name is that of the test's own result.
        """
        if name == "passed":
            raise ValueError("`passed` is what the assertions of the test say: call the score something else")
        self.scores[name] = (value, rationale)


@dataclass
class _State:
    """What the plugin knows of the session."""

    recording: Recording | None = None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    total: int = 0
    skipped: int = 0


_STATES: Final[weakref.WeakKeyDictionary[pytest.Config, _State]] = weakref.WeakKeyDictionary()
_ROWS: Final[weakref.WeakKeyDictionary[pytest.Item, Row]] = weakref.WeakKeyDictionary()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("loggedmodel", "evaluation runs of otel-loggedmodel")
    group.addoption("--loggedmodel-version", metavar="NAME", help="The version under test, by name or id.")
    group.addoption("--loggedmodel-run", metavar="NAME", help="What to call the run.")
    group.addoption(
        "--loggedmodel-against",
        metavar="RUN",
        help="The run to compare with, by name or id; `none` for none. Default: the last on this data set.",
    )
    parser.addini("loggedmodel_version", "The version under test, by name or id.")
    parser.addini("loggedmodel_dataset", "What the marked tests are called together. Default: the folder's name.")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark, and find out which run this is."""
    config.addinivalue_line("markers", _HELP)
    _STATES[config] = _State()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist of which run it is."""
    state = _STATES[node.config]
    recording = state.recording or _begin(node.config)
    if recording is not None:
        node.workerinput[MARK] = recording.for_worker


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Learn from a worker of pytest-xdist how many rows there are: the controller collects none itself."""
    state = _STATES[node.config]
    state.total = max(state.total, getattr(node, "workeroutput", {}).get(MARK, 0))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count the rows before others leave some out: a run of some of them is not whole."""
    _STATES[config].total = sum(item.get_closest_marker(MARK) is not None for item in items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin the run, if there are rows."""
    if any(item.get_closest_marker(MARK) for item in session.items):
        _begin(session.config)


@pytest.fixture
def loggedmodel_row(request: pytest.FixtureRequest) -> Row:
    """What a marked test says of itself: `score(name, value)`, `inputs` and `outputs`."""
    return _ROWS.setdefault(request.node, Row())


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, None]:
    """Run a marked test as a row."""
    recording = _STATES[pyfuncitem.config].recording
    mark = pyfuncitem.get_closest_marker(MARK)
    if recording is None or mark is None:
        yield
        return
    row = _ROWS.setdefault(pyfuncitem, Row())
    with recording.row(pyfuncitem.nodeid, mark.kwargs.get("group")) as work:
        outcome = yield
        error = None if outcome.excinfo is None else outcome.excinfo[1]
        if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
            work.drop()
        else:
            told = work.end(row, error)
            pyfuncitem.user_properties.append((_PROPERTY, told))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what rows came to; here reports of all workers arrive."""
    if not _CONFIGS:
        return
    state = _STATES[_CONFIGS[-1]]
    if report.skipped and MARK in report.keywords:
        state.skipped += 1
    if report.when == "call":
        for name, told in report.user_properties:
            if name == _PROPERTY and isinstance(told, dict):
                state.rows[report.nodeid] = told


# Reports do not say of which session they are; sessions inside of each other, as tests of plugins have, end in order.
_CONFIGS: Final[list[pytest.Config]] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember whose reports come."""
    _CONFIGS.append(session.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the run, and have everything delivered."""
    state = _STATES[session.config]
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[MARK] = state.total
    if state.recording is not None:
        state.recording.finish(state.rows, state.total - state.skipped)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the session."""
    if config in _CONFIGS:
        _CONFIGS.remove(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what came out, and how it compares with another run."""
    state = _STATES[config]
    if state.recording is None or not state.rows:
        return
    terminalreporter.section("evaluation run of otel-loggedmodel")
    for line in _summary(config, state, state.recording):
        terminalreporter.write_line(line)


def _summary(config: pytest.Config, state: _State, recording: Recording) -> Iterator[str]:
    yield from recording.told(state.rows)
    against = config.getoption("--loggedmodel-against")
    if against != "none":
        yield from recording.compared(against)


def _begin(config: pytest.Config) -> Recording | None:
    state = _STATES[config]
    if state.recording is None:
        from otel_loggedmodel._pytest_rows import begun

        worker = getattr(config, "workerinput", None)
        dataset = str(config.getini("loggedmodel_dataset") or "") or config.rootpath.name
        version = config.getoption("--loggedmodel-version") or str(config.getini("loggedmodel_version") or "") or None
        given = None if worker is None else worker.get(MARK)
        if worker is None or given is not None:
            state.recording = begun(version, dataset, config.getoption("--loggedmodel-run"), given)
    return state.recording
