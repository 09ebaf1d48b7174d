# SPDX-License-Identifier: Apache-2.0
"""Which process owns a request: its own while that lives, then one other, and never two at once."""

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effort import some, times
from otel_loggedmodel.delivery import leases
from otel_loggedmodel.delivery.spool import Kind
from waiting import wait_until

from .storing import Drops, drain, forked_with_pipe, given, make_spool, segments_in, succeed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and forks of POSIX")

PROGRAM = """
import os, sys, time
from pathlib import Path
from otel_loggedmodel.delivery.spool import Kind, Spool

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

lost = []
spool = Spool(Path(sys.argv[1]), segment_bytes=2000, on_drop=lambda *what: lost.append(what))

def keep(name, count):
    for number in range(count):
        spool.append(Kind.SPANS, f"{name}-{number}".encode() + b"." * 100, 1)

def deliver():
    while (stored := spool.next()) is not None:
        say("delivered", stored.payload.decode().rstrip("."))
        spool.done(stored)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "key"


@contextlib.contextmanager
def running(body: str, directory: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PROGRAM + body, str(directory)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def expect(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdout.readline() == f"{line}\n"


def leave(directory: Path, name: str, count: int) -> None:
    """What a process leaves that is killed."""

    def keep(told: int) -> None:
        spool = make_spool(directory, segment_bytes=2000)
        for number in range(count):
            spool.append(Kind.SPANS, f"{name}-{number}".encode() + b"." * 100, 1)
        os.write(told, b"kept")
        time.sleep(600)

    child, told = forked_with_pipe(keep)
    with told:
        assert told.read(4) == b"kept"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def name_of(payload: bytes) -> str:
    return payload.decode().rstrip(".")


def test_what_the_dead_leave_is_taken_over(directory: Path) -> None:
    leave(directory, "a", 50)
    leave(directory, "b", 50)
    spool = make_spool(directory)
    assert spool.next() is None
    assert spool.adopt()
    assert not spool.adopt()
    assert spool.pending.spans == 100
    assert [name_of(payload) for payload in drain(spool)] == [f"{name}-{n}" for name in "ab" for n in range(50)]
    spool.close()
    assert list(directory.iterdir()) == []


def test_what_the_living_have_is_theirs(directory: Path) -> None:
    with running("keep('a', 5); say('kept'); input(); deliver(); say('done', lost); input()", directory) as process:
        expect(process, "kept")
        spool = make_spool(directory)
        assert not spool.adopt()
        process.send_signal(signal.SIGSTOP)  # a process that does nothing lives
        assert not spool.adopt()
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        for number in range(5):
            expect(process, f"delivered a-{number}")
        expect(process, "done []")
        spool.close()


def test_two_spools_of_one_process_do_not_touch_each_other(directory: Path) -> None:
    one, other = make_spool(directory), make_spool(directory)
    one.append(Kind.SPANS, b"one", 1)
    other.append(Kind.SPANS, b"other", 1)
    assert not one.adopt()
    assert not other.adopt()
    assert drain(one) == [b"one"]
    other.close()
    assert one.adopt()
    assert drain(one) == [b"other"]
    one.close()


def test_a_spool_that_is_forgotten_lets_go_of_what_it_had(directory: Path) -> None:
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"forgotten", 1)
    del spool
    again = make_spool(directory)
    assert again.adopt()
    assert drain(again) == [b"forgotten"]
    again.close()


@pytest.mark.parametrize("adopters", some([2, 8]))
def test_one_of_many_takes_over(directory: Path, adopters: int) -> None:
    for name in "abcdef":
        leave(directory, name, 100)
    body = "say('ready'); input(); spool.adopt(); say('adopted'); deliver(); say('done', lost); input()"
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running(body, directory)) for _ in range(adopters)]
        for process in processes:
            expect(process, "ready")
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        delivered: collections.Counter[str] = collections.Counter()
        for process in processes:
            for line in iter(process.stdout.readline, "done []\n"):
                assert line
                if line.startswith("delivered "):
                    delivered[line.split()[1]] += 1
    assert delivered == dict.fromkeys([f"{name}-{n}" for name in "abcdef" for n in range(100)], 1)


def test_taking_over_may_be_interrupted(directory: Path) -> None:
    randomness = random.Random(3)
    leave(directory, "a", 400)

    def take_over(told: int) -> None:
        spool = make_spool(directory)
        os.write(told, b"ready")
        spool.adopt()
        time.sleep(60)

    for _ in range(times(full=60, quick=12)):
        child, told = forked_with_pipe(take_over)
        with told:
            assert told.read(5) == b"ready"
            time.sleep(randomness.random() * 0.01)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    drops = Drops()
    spool = make_spool(directory, on_drop=drops)
    # Whatever was moved and whatever was not: more than one directory, perhaps.
    spool.adopt()
    assert sorted(map(name_of, drain(spool))) == sorted(f"a-{n}" for n in range(400))
    assert drops == []
    spool.close()
    assert list(leases.owners(directory)) == []


@pytest.mark.parametrize("number", some([2, 8]))
def test_many_processes_keep_die_and_deliver_on_one_directory(directory: Path, number: int) -> None:
    randomness = random.Random(number)
    body = """
say("ready")
name = input()
for part in range(20):
    for index in range(10):
        spool.append(Kind.SPANS, f"{name}-{part}-{index}".encode() + b"." * 100, 1)
        say("kept", f"{name}-{part}-{index}")
    spool.adopt()
    for _ in range(4):
        if (stored := spool.next()) is not None:
            say("delivered", stored.payload.decode().rstrip("."))
            spool.done(stored)
            say("noted")
say("done", lost)
"""
    kept: set[str] = set()
    delivered: collections.Counter[str] = collections.Counter()
    unsure: set[str] = set()  # on their way when the process was killed
    is_killed: dict[int, bool] = {}

    def follow(index: int) -> None:
        with running(body, directory) as process:
            expect(process, "ready")
            if index % 2:
                timer = threading.Timer(randomness.random() * 0.3, process.kill)
                timer.start()
            process.stdin.write(f"{index}\n")
            with contextlib.suppress(BrokenPipeError):
                process.stdin.flush()
            last = ""
            for line in process.stdout:
                words = line.split()
                if words[0] == "kept":
                    kept.add(words[1])
                elif words[0] == "delivered":
                    delivered[words[1]] += 1
                    last = words[1]
                elif words[0] == "noted":
                    last = ""
                else:
                    assert line == "done []\n"
            unsure.add(last)
            is_killed[index] = process.wait() != 0

    threads = [threading.Thread(target=follow, args=(index,)) for index in range(3 * number)]
    for at in range(0, len(threads), number):
        for thread in threads[at : at + number]:
            thread.start()
        for thread in threads[at : at + number]:
            thread.join()
    assert len(is_killed) == 3 * number
    spool = make_spool(directory)
    spool.adopt()
    delivered.update(map(name_of, drain(spool)))
    spool.close()
    assert set(delivered) >= kept
    assert len(set(delivered) - kept) <= 3 * number  # kept, and killed before it could say so
    assert {name for name, times in delivered.items() if times > 1} <= unsure
    assert segments_in(directory) == []


def test_a_child_inherits_nothing(directory: Path) -> None:
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"parent's", 1)
    on_its_way = given(spool)

    def child() -> None:
        assert spool.next() is None
        assert not spool.pending
        spool.done(on_its_way)
        assert not spool.adopt()
        spool.append(Kind.SPANS, b"child's", 1)
        assert drain(spool) == [b"child's"]
        spool.append(Kind.SPANS, b"left by child", 1)

    succeed(child)
    assert given(spool) == on_its_way
    assert spool.adopt()
    assert drain(spool) == [b"parent's", b"left by child"]
    spool.close()


def test_a_child_inherits_nothing_from_memory() -> None:
    spool = make_spool(None)
    spool.append(Kind.SPANS, b"parent's", 1)

    def child() -> None:
        assert spool.next() is None
        spool.close()

    succeed(child)
    assert drain(spool) == [b"parent's"]
    spool.close()


def test_a_child_does_not_keep_its_dead_parents_lock(directory: Path) -> None:
    body = """
keep("parent", 3)
child = os.fork()
if child == 0:
    say("child")
    input()
    spool.adopt()
    deliver()
    say("done", lost)
else:
    os.kill(os.getpid(), 9)
"""
    with running(body, directory) as process:
        expect(process, "child")
        process.wait()
        process.stdin.write("\n")
        process.stdin.flush()
        for number in range(3):
            expect(process, f"delivered parent-{number}")
        expect(process, "done []")


def test_a_fork_while_other_threads_keep_and_deliver(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, segment_bytes=2000, on_drop=drops)
    is_done = threading.Event()
    kept, delivered = 0, []

    def keep() -> None:
        nonlocal kept
        while not is_done.is_set():
            spool.append(Kind.SPANS, b"%06d" % kept, 1)
            kept += 1

    def deliver() -> None:
        while not is_done.is_set():
            delivered.extend(drain(spool, 10))

    threads = [threading.Thread(target=keep), threading.Thread(target=deliver)]
    for thread in threads:
        thread.start()

    def child() -> None:
        assert not spool.pending
        spool.append(Kind.SPANS, b"child's", 1)
        assert drain(spool) == [b"child's"]
        spool.close()

    for _ in range(times(full=30, quick=10)):
        succeed(child)
    is_done.set()
    for thread in threads:
        thread.join()
    delivered.extend(drain(spool))
    assert [int(payload) for payload in delivered] == list(range(kept))
    assert drops == []
    spool.close()


def test_a_program_that_is_started_does_not_keep_the_lock(directory: Path) -> None:
    body = """
import subprocess
keep("parent", 1)
child = subprocess.Popen([sys.executable, "-c", "input()"], close_fds=False)
say("started")
os.kill(os.getpid(), 9)
"""
    with running(body, directory) as process:
        expect(process, "started")
        process.wait()
        spool = make_spool(directory)
        assert spool.adopt()
        assert [name_of(payload) for payload in drain(spool)] == ["parent-0"]
        spool.close()


@pytest.mark.parametrize("which", ["spool", "destination"])
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_use_is_refused(
    directory: Path, which: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    chosen = directory.parent if which == "spool" else directory
    chosen.chmod(mode)
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"secret", 1)
    assert list(directory.iterdir()) == []
    assert f"{chosen} can be used by others: chmod 700 it, or name one that is not there yet" in caplog.text
    assert drain(spool) == [b"secret"]
    spool.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    os.chown(directory, 65534, 65534)
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"secret", 1)
    assert list(directory.iterdir()) == []
    assert "belongs to another user" in caplog.text
    spool.adopt()
    spool.close()


def test_a_link_is_refused(directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    directory.parent.mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "target")
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"secret", 1)
    assert list((tmp_path / "target").iterdir()) == []
    assert "is no directory" in caplog.text
    spool.close()


def test_a_dead_process_of_another_user_is_left_alone(directory: Path) -> None:
    leave(directory, "a", 1)
    (owner,) = leases.owners(directory)
    owner.chmod(0o755)
    spool = make_spool(directory)
    assert not spool.adopt()
    owner.chmod(0o700)
    assert spool.adopt()
    spool.close()


def test_files_of_a_later_version_are_left_alone(directory: Path) -> None:
    leave(directory, "a", 1)
    (path,) = segments_in(directory)
    later = path.with_name(path.name.replace(".v1", ".v2"))
    shutil.copy(path, later)
    spool = make_spool(directory)
    assert spool.adopt()
    assert [name_of(payload) for payload in drain(spool)] == ["a-0"]
    assert not spool.adopt()
    spool.close()
    assert later.exists()


def test_what_belongs_to_others_is_left_alone(directory: Path) -> None:
    leave(directory, "a", 1)
    (owner,) = leases.owners(directory)
    (owner / "notes.txt").write_text("mine")
    (directory / "backup").mkdir()
    spool = make_spool(directory)
    assert spool.adopt()
    drain(spool)
    spool.close()
    assert (owner / "notes.txt").read_text() == "mine"
    assert (directory / "backup").is_dir()


def test_a_process_that_died_while_making_its_directory_leaves_no_trace(directory: Path) -> None:
    unfinished = directory / ".17-0123456789ab"
    unfinished.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    directory.chmod(0o700)
    spool = make_spool(directory)
    spool.adopt()
    assert unfinished.exists()  # it may be about to be finished
    os.utime(unfinished, (0, 0))
    spool.adopt()
    assert not unfinished.exists()
    spool.close()


def test_all_processes_together_keep_to_the_bound(directory: Path) -> None:
    drops = [Drops() for _ in range(3)]
    clocks = iter(range(10**9))
    spools = [make_spool(directory, max_bytes=400_000, monotonic=lambda: next(clocks), on_drop=drop) for drop in drops]
    largest = 0
    # One has all of it, then the others want their part.
    for number in range(400):
        spools[0].append(Kind.SPANS, b"%04d" % number * 250, 1)
    assert sum(path.stat().st_size for path in segments_in(directory)) > 300_000
    for number in range(300):
        for spool in spools:
            spool.append(Kind.SPANS, b"%04d" % number * 250, 1)
        largest = max(largest, sum(path.stat().st_size for path in segments_in(directory)))
    assert largest <= 500_000
    assert sum(path.stat().st_size for path in segments_in(directory)) <= 400_000
    for spool in spools:
        kept = drain(spool)
        assert 60 <= len(kept) <= 160
        assert int(kept[-1][:4]) == 299
        spool.close()


def test_waiting_for_a_lock_is_not_needed(directory: Path) -> None:
    leave(directory, "a", 1)
    (owner,) = leases.owners(directory)
    lease = leases.Lease.of_dead(owner)
    assert leases.is_alive(owner)
    spool = make_spool(directory)
    started = time.monotonic()
    assert not spool.adopt()
    assert time.monotonic() - started < 10
    lease.release()
    assert not leases.is_alive(owner)
    wait_until(spool.adopt)
    spool.close()
