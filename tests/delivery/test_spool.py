# SPDX-License-Identifier: Apache-2.0
"""What a spool gives out and in which order, what it gives up, and what it remembers."""

import json
import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from otel_loggedmodel.delivery.spool import Kind, Pending

from .storing import Clocks, Drops, drain, given, make_spool, put_aside, segments_in

DAY = 86_400.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "key"


def test_nothing_is_made_before_there_is_something_to_keep(directory: Path) -> None:
    spool = make_spool(directory)
    assert spool.next() is None
    assert not spool.adopt()
    assert not spool.pending
    spool.sync()
    spool.close()
    assert not directory.parent.exists()


def test_models_first_and_then_the_oldest(directory: Path) -> None:
    spool = make_spool(directory)
    for kind, payload in (
        *((Kind.SPANS, b"s1"), (Kind.MODELS, b"m1"), (Kind.SPANS, b"s2"), (Kind.MODELS, b"m2"), (Kind.SPANS, b"s3")),
    ):
        spool.append(kind, payload, 1)
    assert drain(spool) == [b"m1", b"m2", b"s1", b"s2", b"s3"]
    spool.close()


def test_a_model_that_comes_later_overtakes_what_has_not_been_delivered(directory: Path) -> None:
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"s1", 1)
    assert given(spool).payload == b"s1"
    spool.append(Kind.MODELS, b"m1", 1)
    assert drain(spool) == [b"m1", b"s1"]
    spool.close()


def test_it_is_given_again_until_it_is_done(directory: Path, clocks: Clocks) -> None:
    spool = make_spool(directory, clocks)
    spool.append(Kind.SPANS, b"one", 7)
    first = given(spool)
    assert (first.kind, first.payload, first.count, first.stored_at) == (Kind.SPANS, b"one", 7, clocks.wall)
    assert given(spool) == first
    assert {first.handle} == {given(spool).handle}
    spool.done(first)
    spool.done(first)  # twice is once
    assert spool.next() is None
    spool.close()


@pytest.mark.parametrize("delivered", range(6))
def test_what_is_left_is_there_after_a_restart(directory: Path, delivered: int) -> None:
    spool = make_spool(directory)
    for number in range(5):
        spool.append(Kind.SPANS, b"%d" % number, 1)
    assert len(drain(spool, delivered)) == min(delivered, 5)
    spool.close()
    spool = make_spool(directory)
    assert spool.adopt() is (delivered < 5)
    assert spool.pending.spans == max(0, 5 - delivered)
    assert drain(spool) == [b"%d" % number for number in range(delivered, 5)]
    spool.close()


def test_nothing_is_left_on_disk_when_all_is_delivered(directory: Path) -> None:
    spool = make_spool(directory, segment_bytes=1000)
    for number in range(100):
        spool.append(Kind.SPANS, b"%d" % number * 50, 1)
    assert len(segments_in(directory)) > 10
    drain(spool)
    assert segments_in(directory) == []
    spool.close()
    assert [path.name for path in directory.iterdir()] == []


def test_directories_are_for_their_user_alone(directory: Path) -> None:
    spool = make_spool(directory, about={"endpoint": "http://collector:4318", "protocol": "grpc"})
    spool.append(Kind.SPANS, b"secret", 1)
    for path in (directory.parent, directory, *directory.rglob("*")):
        mode = path.stat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
    assert json.loads((directory / "destination.json").read_text()) == {
        "version": 1,
        "endpoint": "http://collector:4318",
        "protocol": "grpc",
    }
    spool.close()


def test_pending_says_what_waits(directory: Path, clocks: Clocks) -> None:
    spool = make_spool(directory, clocks)
    assert spool.pending == Pending()
    assert not spool.pending
    spool.append(Kind.SPANS, b"x" * 1000, 10)
    clocks.pass_seconds(5)
    spool.append(Kind.MODELS, b"y" * 100, 2)
    pending = spool.pending
    assert pending
    assert (pending.spans, pending.models, pending.oldest_age) == (10, 2, 5.0)
    assert 1100 <= pending.bytes <= 1300
    spool.done(given(spool))
    assert (spool.pending.spans, spool.pending.models) == (10, 0)
    drain(spool)
    assert spool.pending == Pending()
    spool.close()


def test_parts_take_the_place_of_what_was_refused(directory: Path) -> None:
    spool = make_spool(directory)
    for payload in (b"ab", b"later"):
        spool.append(Kind.SPANS, payload, 4)
    spool.replace(given(spool), [(b"a", 2), (b"b", 1)])
    assert spool.pending.spans == 7
    stored = given(spool)
    assert (stored.payload, stored.count) == (b"a", 2)
    spool.replace(stored, [(b"a1", 1), (b"a2", 1)])
    assert drain(spool, 1) == [b"a1"]
    spool.close()
    again = make_spool(directory)
    again.adopt()
    assert sorted(drain(again)) == [b"a2", b"b", b"later"]
    again.close()


def test_parts_may_be_none(directory: Path) -> None:
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"a", 4)
    spool.replace(given(spool), [])
    assert not spool.pending
    spool.close()


def test_what_is_postponed_comes_after_everything_else(directory: Path) -> None:
    spool = make_spool(directory)
    for kind, payload in ((Kind.MODELS, b"m1"), (Kind.MODELS, b"m2"), (Kind.SPANS, b"s1")):
        spool.append(kind, payload, 1)
    first = given(spool)
    spool.postpone(first)
    assert given(spool).payload == b"m2"
    spool.append(Kind.SPANS, b"s2", 1)
    order = []
    for _ in range(3):
        order.append(given(spool).payload)
        spool.done(given(spool))
    assert order == [b"m2", b"s1", b"s2"]
    last = given(spool)
    assert (last.payload, last.handle, last.stored_at) == (b"m1", first.handle, first.stored_at)
    assert len({first.handle, last.handle}) == 1
    # With only postponed ones, the oldest of them, and round.
    spool.append(Kind.SPANS, b"s3", 1)
    spool.postpone(given(spool))
    assert [given(spool).payload, spool.postpone(given(spool)), given(spool).payload] == [b"m1", None, b"m1"]
    assert sorted(drain(spool)) == [b"m1", b"s3"]
    spool.close()


def test_what_is_postponed_keeps_its_age(directory: Path, clocks: Clocks) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks, max_age=1000, on_drop=drops)
    spool.append(Kind.SPANS, b"poison", 3)
    for _ in range(20):
        clocks.pass_seconds(60)
        if (stored := spool.next()) is not None:
            spool.postpone(stored)
    assert drops == [("age", Kind.SPANS, 3)]
    spool.close()


def test_what_is_set_aside_is_kept_and_not_given_again(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, on_drop=drops)
    for payload in (b"poison", b"worse", b"fine"):
        spool.append(Kind.SPANS, payload, 4)
    for reason in ("400: no such attribute", "413"):
        spool.set_aside(given(spool), reason)
    assert drain(spool) == [b"fine"]
    assert not spool.pending
    spool.close()
    again = make_spool(directory)
    assert not again.adopt()
    assert again.next() is None
    (path,) = segments_in(directory, "refused")
    content = path.read_bytes()
    for part in (b"poison", b"400: no such attribute", b"worse", b"413"):
        assert part in content
    again.close()
    assert drops == []


def test_what_is_set_aside_has_a_tenth_of_the_room(directory: Path) -> None:
    spool = make_spool(directory, max_bytes=100_000)
    for number in range(50):
        put_aside(spool, b"%04d" % number * 250, 1, "400")
        assert sum(path.stat().st_size for path in segments_in(directory, "refused")) <= 10_000
    spool.close()


def test_the_oldest_spans_go_first_at_the_bound(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, max_bytes=100_000, on_drop=drops)
    spool.append(Kind.MODELS, b"model" * 10, 1)
    for number in range(300):
        spool.append(Kind.SPANS, b"%04d" % number * 250, 10)
        assert sum(path.stat().st_size for path in segments_in(directory)) <= 100_000
    kept = drain(spool)
    assert kept[0] == b"model" * 10
    numbers = [int(payload[:4]) for payload in kept[1:]]
    assert numbers == list(range(300 - len(numbers), 300))
    assert len(numbers) >= 80
    assert drops.count("size", Kind.SPANS) == 10 * (300 - len(numbers))
    assert drops.count("size", Kind.MODELS) == 0
    spool.close()


def test_models_go_last_and_never_for_spans(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, max_bytes=50_000, on_drop=drops)
    for number in range(100):
        spool.append(Kind.MODELS, b"%04d" % number * 250, 1)
    models = spool.pending.models
    assert drops.count("size", Kind.MODELS) == 100 - models > 0
    spool.append(Kind.SPANS, b"s" * 10_000, 5)
    assert drops.count("size", Kind.SPANS) == 5
    assert spool.pending.models == models
    assert int(drain(spool)[-1][:4]) == 99
    spool.close()


def test_one_request_larger_than_the_bound_is_given_up_alone(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, max_bytes=10_000, on_drop=drops)
    spool.append(Kind.SPANS, b"fine", 1)
    spool.append(Kind.SPANS, b"x" * 20_000, 9)
    assert drops == [("size", Kind.SPANS, 9)]
    assert drain(spool) == [b"fine"]
    spool.close()


@pytest.mark.parametrize("is_tried_again", [False, True])
def test_what_is_on_its_way_is_not_given_up_at_the_bound(directory: Path, is_tried_again: bool) -> None:
    drops = Drops()
    spool = make_spool(directory, max_bytes=20_000, on_drop=drops)
    spool.append(Kind.SPANS, b"sent" * 100, 7)
    sent = given(spool)
    for number in range(60):
        spool.append(Kind.SPANS, b"%04d" % number * 250, 1)
    if is_tried_again:
        assert given(spool) == sent
        sent = given(spool)
    spool.done(sent)
    left = drain(spool)
    # Each is either delivered or counted, not both.
    assert b"sent" * 100 not in left
    assert drops.count("size") + len(left) == 60
    spool.close()


def test_too_old_is_given_up(directory: Path, clocks: Clocks) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks, max_age=2 * DAY, on_drop=drops)
    spool.append(Kind.SPANS, b"old", 3)
    spool.append(Kind.MODELS, b"old model", 1)
    clocks.pass_seconds(DAY)
    spool.append(Kind.SPANS, b"young", 4)
    clocks.pass_seconds(DAY - 1)
    assert given(spool).payload == b"old model"
    clocks.pass_seconds(700)
    assert drain(spool) == [b"young"]
    assert drops == [("age", Kind.MODELS, 1), ("age", Kind.SPANS, 3)]
    spool.close()


@pytest.mark.parametrize("jump", [-3650 * DAY, -DAY, 3 * DAY, 3650 * DAY])
def test_a_jump_of_the_clock_drops_nothing(directory: Path, clocks: Clocks, jump: float) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks, on_drop=drops)
    spool.append(Kind.SPANS, b"before", 1)
    clocks.wall += jump
    clocks.pass_seconds(1000)
    spool.append(Kind.SPANS, b"after", 1)
    assert spool.pending.oldest_age == 1000
    assert drain(spool) == [b"before", b"after"]
    assert drops == []
    spool.close()


@pytest.mark.parametrize("jump", [-3650 * DAY, -DAY, 3 * DAY, 3650 * DAY])
def test_a_jump_of_the_clock_between_processes_spares_what_was_left_for_an_hour(
    directory: Path, clocks: Clocks, jump: float
) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks)
    spool.append(Kind.SPANS, b"before", 6)
    spool.close()
    clocks.wall += jump
    spool = make_spool(directory, clocks, on_drop=drops)
    spool.adopt()
    assert spool.pending.oldest_age == max(0, jump)
    clocks.pass_seconds(3599)
    assert given(spool).payload == b"before"
    assert drops == []
    clocks.pass_seconds(2)
    assert (spool.next() is None) == (jump > 0)
    assert drops.count("age") == (6 if jump > 0 else 0)
    spool.close()


def test_what_is_left_has_the_age_that_it_has(directory: Path, clocks: Clocks) -> None:
    for number in range(4):
        spool = make_spool(directory, clocks)
        spool.append(Kind.SPANS, b"%d" % number, 1)
        spool.close()
        clocks.pass_seconds(DAY)
    drops = Drops()
    spool = make_spool(directory, clocks, on_drop=drops)
    spool.adopt()
    assert spool.pending.oldest_age == 4 * DAY
    clocks.pass_seconds(3601)
    assert drain(spool) == [b"3"]
    assert drops == [("age", Kind.SPANS, 1)] * 3
    spool.close()


def test_a_file_is_not_written_to_for_long(directory: Path, clocks: Clocks) -> None:
    spool = make_spool(directory, clocks)
    for number in range(60):
        spool.append(Kind.SPANS, b"%d" % number, 1)
        clocks.pass_seconds(60)
    assert len(segments_in(directory)) == 6
    assert drain(spool) == [b"%d" % number for number in range(60)]
    spool.close()


def test_after_the_end_nothing_is_kept(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, on_drop=drops)
    spool.append(Kind.SPANS, b"kept", 1)
    spool.close()
    spool.close()
    spool.append(Kind.SPANS, b"late", 3)
    assert drops == [("closed", Kind.SPANS, 3)]
    assert spool.next() is None
    assert not spool.adopt()
    again = make_spool(directory)
    again.adopt()
    assert drain(again) == [b"kept"]
    again.close()


def test_memory_alone_where_there_is_no_directory(caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    spool = make_spool(None, memory_bytes=1000, on_drop=drops)
    with caplog.at_level(logging.WARNING):
        spool.append(Kind.MODELS, b"m" * 100, 1)
        for number in range(20):
            spool.append(Kind.SPANS, b"%02d" % number * 50, 10)
    assert len([record for record in caplog.records if "is lost when the process ends" in record.message]) == 1
    assert not spool.adopt()
    kept = drain(spool)
    assert kept == [b"m" * 100] + [b"%02d" % number * 50 for number in range(11, 20)]
    assert drops.count("memory", Kind.SPANS) == 110
    spool.append(Kind.SPANS, b"last", 2)
    spool.close()
    assert drops[-1] == ("closed", Kind.SPANS, 2)


def test_memory_gives_up_spans_before_models() -> None:
    drops = Drops()
    spool = make_spool(None, memory_bytes=1000, on_drop=drops)
    for number in range(15):
        spool.append(Kind.MODELS, b"%02d" % number * 50, 1)
    spool.append(Kind.SPANS, b"s" * 100, 4)
    assert drops.count("memory", Kind.MODELS) == 5
    assert drops.count("memory", Kind.SPANS) == 4
    assert drain(spool)[0] == b"05" * 50
    spool.close()


def test_drops_are_logged_at_most_once_a_minute(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = make_spool(directory, max_bytes=10_000)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            spool.append(Kind.SPANS, b"x" * 900, 3)
    messages = [record.message for record in caplog.records]
    assert len(messages) == 1
    assert "spans are given up (size): they would take more disk than they may" in messages[0]
    spool.close()


def test_one_thread_keeps_while_another_delivers(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, segment_bytes=5_000, on_drop=drops)
    is_done = threading.Event()
    delivered: list[bytes] = []

    def deliver() -> None:
        while not is_done.is_set() or spool.pending:
            delivered.extend(drain(spool, 10))

    thread = threading.Thread(target=deliver)
    thread.start()
    for number in range(5000):
        spool.append(Kind.SPANS, b"%06d" % number, 1)
    is_done.set()
    thread.join()
    assert delivered == [b"%06d" % number for number in range(5000)]
    assert drops == []
    spool.close()


def test_a_callback_that_fails_harms_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_loggedmodel import _errors

    monkeypatch.setattr(_errors, "raise_internal_errors", False)

    def fail(reason: str, kind: Kind, count: int) -> None:
        raise RuntimeError("on purpose")

    spool = make_spool(directory, max_bytes=10_000, on_drop=fail)
    for _ in range(20):
        spool.append(Kind.SPANS, b"x" * 900, 3)
    assert drain(spool)
    spool.close()


def test_what_nobody_delivers_any_more_is_given_up_for_its_age(
    directory: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    other, living = directory.with_name("under an old token"), directory.with_name("another backend")
    for destination in (other, directory):
        spool = make_spool(destination, clocks)
        spool.append(Kind.SPANS, b"old", 9)
        spool.close()
    (directory.parent / "notes.txt").write_text("mine")
    alive = make_spool(living, clocks)
    alive.append(Kind.SPANS, b"old", 1)
    clocks.pass_seconds(2 * DAY)
    spool = make_spool(other, clocks)
    spool.append(Kind.SPANS, b"young", 1)
    spool.close()
    clocks.pass_seconds(1000)
    drops = Drops()
    mine = make_spool(directory, clocks, on_drop=drops)
    for _ in range(60):
        assert len(segments_in(other)) == 2  # the clock may be wrong, and set right soon
        mine.adopt()
        clocks.pass_seconds(60)
    for _ in range(21):
        mine.adopt()
        clocks.pass_seconds(60)
    assert len(segments_in(other)) == 1
    assert "9 spans that nobody delivers any more are given up (age)" in caplog.text
    assert len(segments_in(living)) == 1
    assert drops == []
    mine.close()
    alive.close()


def test_a_clock_that_is_set_right_within_an_hour_costs_nothing(directory: Path, clocks: Clocks) -> None:
    other = directory.with_name("under an old token")
    spool = make_spool(other, clocks)
    spool.append(Kind.SPANS, b"young", 9)
    spool.close()
    mine = make_spool(directory, clocks)
    for hour in range(6):
        jump = 100 * DAY if hour % 2 else -100 * DAY
        clocks.wall += jump
        for _ in range(50):
            mine.adopt()
            clocks.pass_seconds(60)
        clocks.wall -= jump
        mine.adopt()
        clocks.pass_seconds(1200)
        mine.adopt()
        clocks.pass_seconds(1200)
    assert len(segments_in(other)) == 1
    mine.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks up what a descriptor is of")
def test_what_is_written_goes_to_the_disk_itself_once_a_second(
    directory: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    spool = make_spool(directory, clocks, segment_bytes=1000)
    for _ in range(100):
        clocks.pass_seconds(0.1)
        spool.append(Kind.SPANS, b"x" * 300, 1)
    clocks.pass_seconds(1)
    spool.sync()
    files = {path.name: path.stat().st_size for path in segments_in(directory)}
    assert len(files) == 50
    # Each file, with all that is in it, and the directory that says what they are called.
    assert files.items() <= dict(synced).items()
    assert spool._queues.disk._lease.path.name in dict(synced)
    # A few at a time, and a file twice if it is written to meanwhile.
    assert len(synced) <= 75
    synced.clear()
    clocks.pass_seconds(10)
    spool.sync()
    assert synced == []
    spool.close()


def test_files_from_the_future_are_given_up_in_the_end(directory: Path, clocks: Clocks) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks)
    spool.append(Kind.SPANS, b"future", 6)
    spool.close()
    clocks.wall -= 3650 * DAY
    spool = make_spool(directory, clocks, on_drop=drops)
    spool.adopt()
    clocks.pass_seconds(2 * DAY)
    assert given(spool).payload == b"future"
    clocks.pass_seconds(700)
    assert spool.next() is None
    assert drops == [("age", Kind.SPANS, 6)]
    spool.close()
