# SPDX-License-Identifier: Apache-2.0
"""Answers are remembered until something is stored, and a little longer where asking is expensive."""

import threading
from collections.abc import Callable

import pytest

from memory_reader import MemoryReader
from otel_loggedmodel.server import remembering
from otel_loggedmodel.server.remembering import Memory, Remembering
from otel_loggedmodel.store.reading import Selection, StoreUnavailableError, TraceFilter, VersionFilter
from otel_loggedmodel.store.version_results import Version
from waiting import wait_until


class Clock:
    """A clock that goes on when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(remembering, "time", clock)
    return clock


def test_the_same_question_is_asked_once_until_something_is_stored(clock: Clock) -> None:
    reader = MemoryReader(knows_all=True)
    memory = Memory(reader)
    for _ in range(3):
        Remembering(memory).traces("a", TraceFilter(limit=3), Selection(attributes={"k": "v"}))
    assert len(reader.asked) == 1
    Remembering(memory).traces("a", TraceFilter(limit=3), Selection(attributes={"k": "w"}))
    Remembering(memory).traces("b", TraceFilter(limit=3), Selection(attributes={"k": "v"}))
    assert len(reader.asked) == 3
    reader.revised = "2"
    Remembering(memory).traces("a", TraceFilter(limit=3), Selection(attributes={"k": "v"}))
    assert len(reader.asked) == 4


def take(clock: Clock, seconds: float, answer: str) -> Callable[[], str]:
    """A question that takes so long."""

    def ask() -> str:
        clock.now += seconds
        return answer

    return ask


def test_what_was_expensive_is_good_for_longer(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))
    memory.answer("question", "1", take(clock, 0.4, "old"))
    clock.now += 3.9
    assert memory.answer("question", "2", take(clock, 0, "new")) == ("1", "old")
    clock.now += 0.2
    assert memory.answer("question", "2", take(clock, 0, "new")) == ("2", "new")
    # This one took no time.
    assert memory.answer("question", "3", take(clock, 0, "newer")) == ("3", "newer")


def test_what_takes_long_is_asked_again_meanwhile(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))
    memory.answer("question", "1", take(clock, 2, "old"))
    clock.now += 19
    assert memory.answer("question", "2", take(clock, 2, "new")) == ("1", "old")
    clock.now += 2
    gate = threading.Event()

    def ask() -> str:
        assert gate.wait(20)
        return "new"

    assert memory.answer("question", "2", ask) == ("1", "old")
    gate.set()
    wait_until(lambda: memory.answer("question", "2", ask) == ("2", "new"))
    memory.close()


def test_what_is_too_old_is_waited_for(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))
    memory.answer("question", "1", take(clock, 2, "old"))
    clock.now += 900
    assert memory.answer("question", "2", take(clock, 2, "new")) == ("2", "new")


def test_what_is_beside_the_point_is_not_waited_for(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))

    def known(answer: str, wanted: str, revision: str) -> tuple[str, str]:
        return memory.answer("names", revision, take(clock, 0, answer), lambda names: wanted in names)

    assert known("a b", "a", "1") == ("1", "a b")
    assert known("a b c", "b", "2") == ("1", "a b")
    # What was asked meanwhile is there for the next page.
    wait_until(lambda: known("a b c", "b", "2") == ("2", "a b c"))
    assert known("a b c d", "d", "3") == ("3", "a b c d")
    clock.now += 1
    memory.was_written()
    assert known("a e", "a", "4") == ("4", "a e")
    clock.now += 900
    assert known("a f", "a", "5") == ("5", "a f")
    memory.close()


def test_versions_that_a_page_names_are_those_it_knows(clock: Clock) -> None:
    reader = MemoryReader(listed=[Version(model_id="a", name="bot", registered=True, deleted=False)])
    memory = Memory(reader)
    which = VersionFilter(limit=5)
    assert Remembering(memory).versions_with(which, ["a"]) == reader.listed
    reader.revised = "2"
    page = Remembering(memory)
    assert page.versions_with(which, ["a"]) == reader.listed
    assert page.shown == "1"
    wait_until(lambda: [asked[:2] for asked in reader.asked] == [("versions", which)] * 2)
    memory.close()


def test_closing_waits_for_what_is_being_asked(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))
    memory.answer("question", "1", take(clock, 2, "old"))
    clock.now += 21
    began, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def ask() -> None:
        began.set()
        assert gate.wait(20)
        ended.set()

    memory.answer("question", "2", ask)
    assert began.wait(20)
    gate.set()
    memory.close()
    assert ended.is_set()


def test_a_page_says_that_one_of_its_answers_is_older(clock: Clock) -> None:
    reader = MemoryReader(knows_all=True)
    memory = Memory(reader)
    Remembering(memory).traces()
    answer = next(iter(memory._answers.values()))
    answer.asked_at, answer.took = clock.now, 0.4
    reader.revised = "2"
    page = Remembering(memory)
    assert page.shown == "2"
    page.compare(["a"])
    assert page.shown == "2"
    page.traces()
    assert page.shown == "1"


def test_many_who_ask_the_same_wait_for_one_answer() -> None:
    reader = MemoryReader(knows_all=True)
    reader.gate.clear()
    memory = Memory(reader)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(Remembering(memory).versions())) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: reader.asked)
    reader.gate.set()
    for thread in threads:
        thread.join()
    assert found == [[]] * 8
    assert len(reader.asked) == 1


def test_an_error_is_not_remembered() -> None:
    reader = MemoryReader(error=StoreUnavailableError("locked"))
    memory = Memory(reader)
    with pytest.raises(StoreUnavailableError):
        Remembering(memory).versions()
    reader.error = None
    assert Remembering(memory).versions() == []


def test_what_was_asked_long_ago_is_forgotten() -> None:
    memory = Memory(MemoryReader(knows_all=True))
    for number in range(1000):
        Remembering(memory).traces(str(number))
    assert len(memory._answers) == 128


def test_what_somebody_wrote_on_a_page_is_seen_at_once(clock: Clock) -> None:
    memory = Memory(MemoryReader(knows_all=True))
    memory.answer("question", "1", take(clock, 0.4, "before"))
    clock.now += 0.1
    assert memory.answer("question", "2", take(clock, 0.4, "not asked"))[1] == "before"
    memory.was_written()
    assert memory.answer("question", "2", take(clock, 0.4, "after")) == ("2", "after")
