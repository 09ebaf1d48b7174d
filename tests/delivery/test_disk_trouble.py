# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, read-only, forbidden or gone: the spool does without, says so, and comes back to them."""

import contextlib
import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_loggedmodel.delivery.bounded import within
from otel_loggedmodel.delivery.segments import Segment
from otel_loggedmodel.delivery.spool import Kind
from otel_loggedmodel.delivery.spool_survey import elsewhere, survey

from .storing import Clocks, Drops, drain, given, make_spool, segments_in, succeed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions and mounts of POSIX")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "key"


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


class Disk:
    """A small disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], check=True, capture_output=True, text=True
        )

    def fill(self) -> None:
        command = ["dd", "if=/dev/zero", f"of={self.path / 'ballast'}", "bs=4096"]
        assert b"No space left" in subprocess.run(command, capture_output=True, check=False).stderr

    def free(self) -> None:
        (self.path / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    disk = Disk(path)
    try:
        disk.mount("size=1m,mode=0700")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", path], check=True)


def unprivileged(work: Callable[[], None]) -> None:
    """Do something as a user whom permissions concern."""
    if os.geteuid() != 0:
        work()
        return

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        work()

    succeed(as_nobody)


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A spool's directory for that user, where no directory above is only for root."""
    above = Path(tempfile.mkdtemp(prefix="otel-loggedmodel-"))
    if os.geteuid() == 0:
        os.chown(above, 65534, 65534)
    yield above / "key"
    for path in (above, *above.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(above)


def test_a_full_disk_and_room_again(disk: Disk, clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    drops = Drops()
    spool = make_spool(disk.path / "spool" / "key", clocks, on_drop=drops)
    with caplog.at_level(logging.WARNING):
        for number in range(500):
            spool.append(Kind.SPANS, b"%04d" % number * 1000, 1)
        spool.append(Kind.MODELS, b"model", 1)
    assert "is kept in memory, at most 33554432 bytes of it, as the disk takes none: [Errno 28]" in caplog.text
    assert len(caplog.records) == 1
    on_disk = sum(path.stat().st_size for path in segments_in(disk.path / "spool" / "key"))
    assert 900_000 < on_disk < 1024 * 1024
    assert (spool.pending.spans, spool.pending.models) == (500, 1)
    # The half that is oldest is delivered, and there is room for the rest.
    assert drain(spool, 251) == [b"model"] + [b"%04d" % number * 1000 for number in range(250)]
    clocks.pass_seconds(6)
    assert drain(spool) == [b"%04d" % number * 1000 for number in range(250, 500)]
    assert drops == []
    spool.close()


def test_memory_is_written_when_there_is_room(disk: Disk, clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    directory = disk.path / "spool" / "key"
    spool = make_spool(directory, clocks)
    disk.fill()
    for number in range(20):
        spool.append(Kind.SPANS, b"%04d" % number * 1000, 1)
    assert segments_in(directory) == []
    disk.free()
    spool.append(Kind.SPANS, b"not tried at once", 1)
    assert segments_in(directory) == []
    clocks.pass_seconds(6)
    with caplog.at_level(logging.WARNING):
        spool.append(Kind.SPANS, b"last", 1)
    assert "the disk takes again" in caplog.text
    del spool  # as good as killed
    again = make_spool(directory)
    again.adopt()
    kept = [b"%04d" % number * 1000 for number in range(20)]
    assert drain(again) == [*kept, b"not tried at once", b"last"]
    again.close()


def test_a_full_disk_and_full_memory(disk: Disk) -> None:
    drops = Drops()
    spool = make_spool(disk.path / "spool" / "key", memory_bytes=100_000, on_drop=drops)
    disk.fill()
    spool.append(Kind.MODELS, b"model", 1)
    for number in range(50):
        spool.append(Kind.SPANS, b"%04d" % number * 1000, 2)
    assert drops.count("memory", Kind.SPANS) == 2 * 26
    spool.close()
    # The process ends, and nothing takes what it has.
    assert drops.count("closed", Kind.SPANS) == 2 * 24
    assert drops.count("closed", Kind.MODELS) == 1


def test_what_cannot_be_written_whole_is_not_there(disk: Disk, clocks: Clocks) -> None:
    directory = disk.path / "spool" / "key"
    drops = Drops()
    spool = make_spool(directory, clocks, on_drop=drops)
    spool.append(Kind.SPANS, b"fits", 1)
    spool.append(Kind.SPANS, b"x" * 2_000_000, 5)  # a part of it fits
    (path,) = segments_in(directory)
    assert path.stat().st_size < 1000
    assert drain(spool) == [b"fits", b"x" * 2_000_000]
    assert drops == []
    spool.close()


LIMITED = """
import resource, sys
from pathlib import Path
from otel_loggedmodel.delivery.spool import Kind, Spool

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
spool = Spool(Path(sys.argv[1]))
for number in range(100):
    spool.append(Kind.SPANS, b"%04d" % number * 250, 1)
delivered = 0
while (stored := spool.next()) is not None:
    assert stored.payload == b"%04d" % delivered * 250
    spool.done(stored)
    delivered += 1
print(delivered)
spool.close()
"""


def test_a_limit_on_the_size_of_files(directory: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(directory)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "100\n", result.stderr
    assert "File too large" in result.stderr


def test_no_descriptors_left(directory: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    import resource

    spool = make_spool(directory, clocks)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        spool.append(Kind.SPANS, b"one", 1)
        assert not spool.adopt()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in caplog.text
    assert not directory.exists() or segments_in(directory) == []
    clocks.pass_seconds(6)
    spool.append(Kind.SPANS, b"two", 1)
    assert len(segments_in(directory)) == 1
    assert drain(spool) == [b"one", b"two"]
    spool.close()


def test_a_read_only_disk_and_a_writable_one_again(
    disk: Disk, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    directory = disk.path / "spool" / "key"
    left = make_spool(directory)
    left.append(Kind.SPANS, b"left", 1)
    left.close()
    disk.mount("remount,ro")
    spool = make_spool(directory, clocks)
    assert not spool.adopt()
    spool.append(Kind.SPANS, b"during", 1)
    assert "Read-only file system" in caplog.text
    assert given(spool).payload == b"during"
    disk.mount("remount,rw")
    clocks.pass_seconds(6)
    assert spool.adopt()
    assert sorted(drain(spool)) == [b"during", b"left"]
    spool.close()


def test_what_cannot_be_deleted_is_not_given_again(anyones: Path) -> None:
    def work() -> None:
        clocks = Clocks()
        spool = make_spool(anyones, clocks, segment_bytes=1000)
        for number in range(6):
            spool.append(Kind.SPANS, b"%d" % number * 400, 1)
        (owner,) = (path for path in anyones.iterdir() if path.is_dir())
        owner.chmod(0o500)
        assert len(drain(spool)) == 6
        assert not spool.pending
        assert len(segments_in(anyones)) == 3
        again = make_spool(anyones)
        assert not again.adopt()
        again.close()
        owner.chmod(0o700)
        clocks.pass_seconds(2)
        spool.sync()
        assert segments_in(anyones) == []
        spool.close()

    unprivileged(work)


def test_no_permission_to_make_the_directory(anyones: Path) -> None:
    def work() -> None:
        drops = Drops()
        anyones.parent.chmod(0o500)
        spool = make_spool(anyones, on_drop=drops)
        spool.append(Kind.SPANS, b"one", 1)
        assert not spool.adopt()
        assert drain(spool) == [b"one"]
        spool.close()
        anyones.parent.chmod(0o700)
        assert drops == []

    unprivileged(work)


def test_permission_changed_underneath(anyones: Path) -> None:
    def work() -> None:
        clocks = Clocks()
        drops = Drops()
        spool = make_spool(anyones, clocks, segment_bytes=1000, on_drop=drops)
        for number in range(10):
            spool.append(Kind.SPANS, b"%d" % number * 400, 1)
        spool.sync()
        clocks.pass_seconds(2)
        spool.sync()
        anyones.chmod(0o000)
        spool.append(Kind.SPANS, b"a" * 400, 1)
        spool.append(Kind.SPANS, b"b" * 400, 1)
        assert spool.pending.spans == 12
        readable = drain(spool)
        assert b"a" * 400 in readable
        anyones.chmod(0o700)
        clocks.pass_seconds(60)
        spool.append(Kind.SPANS, b"c" * 400, 1)
        rest = drain(spool)
        assert sorted(readable + rest) == [character * 400 for character in sorted(b"%x" % n for n in range(13))]
        assert drops == []
        spool.close()

    unprivileged(work)


def test_a_file_that_cannot_be_read_does_not_block_the_others(anyones: Path) -> None:
    def work() -> None:
        clocks = Clocks()
        drops = Drops()
        spool = make_spool(anyones, clocks, segment_bytes=1000, on_drop=drops)
        for number in range(4):
            spool.append(Kind.SPANS, b"%d" % number * 800, 1)
        clocks.pass_seconds(2)
        spool.sync()  # and the files are closed
        first = segments_in(anyones)[0]
        first.chmod(0o000)
        assert drain(spool) == [b"%d" % number * 800 for number in (1, 2, 3)]
        assert spool.pending.spans == 1
        first.chmod(0o600)
        clocks.pass_seconds(31)
        assert drain(spool) == [b"0" * 800]
        assert drops == []
        spool.close()

    unprivileged(work)


def test_what_others_delete_is_counted(directory: Path, clocks: Clocks) -> None:
    drops = Drops()
    spool = make_spool(directory, clocks, segment_bytes=1000, on_drop=drops)
    for number in range(4):
        spool.append(Kind.SPANS, b"%d" % number * 800, 10)
    clocks.pass_seconds(2)
    spool.sync()
    segments_in(directory)[1].unlink()
    assert drain(spool) == [b"%d" % number * 800 for number in (0, 2, 3)]
    assert drops == [("missing", Kind.SPANS, 10)]
    spool.close()


def test_the_directory_is_deleted_underneath(directory: Path) -> None:
    drops = Drops()
    spool = make_spool(directory, about={"endpoint": "e"}, on_drop=drops)
    spool.append(Kind.SPANS, b"before", 1)
    spool.append(Kind.MODELS, b"model", 1)
    spool.done(given(spool))
    spool.append(Kind.MODELS, b"other model", 1)
    shutil.rmtree(directory.parent)
    spool.append(Kind.SPANS, b"after", 1)
    spool.append(Kind.MODELS, b"third model", 1)
    # What was being written is there again.
    assert len(segments_in(directory)) == 2
    assert (directory / "destination.json").exists()
    del spool
    again = make_spool(directory, on_drop=drops)
    again.adopt()
    assert drain(again) == [b"other model", b"third model", b"before", b"after"]
    assert drops == []
    again.close()


def test_the_directory_is_deleted_and_forbidden(anyones: Path) -> None:
    def work() -> None:
        drops = Drops()
        spool = make_spool(anyones, on_drop=drops)
        spool.append(Kind.SPANS, b"before", 1)
        shutil.rmtree(anyones)
        anyones.parent.chmod(0o500)
        spool.append(Kind.SPANS, b"after", 1)
        # A file that was deleted while it is open can still be read.
        assert drain(spool) == [b"before", b"after"]
        assert drops == []
        spool.close()
        anyones.parent.chmod(0o700)

    unprivileged(work)


def test_something_else_is_where_the_directory_should_be(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.parent.write_text("a file")
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"one", 1)
    assert not spool.adopt()
    assert "is no directory" in caplog.text
    assert drain(spool) == [b"one"]
    spool.close()


def test_a_disk_that_cannot_be_written_through(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Segment) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Segment, "sync", fail)
    spool = make_spool(directory)
    spool.append(Kind.SPANS, b"one", 1)
    spool.sync()
    assert "may not outlive a loss of power: [Errno 5]" in caplog.text
    assert drain(spool) == [b"one"]
    spool.close()


@pytest.mark.parametrize("operation", ["truncate", "write", "read", "seek"])
def test_whatever_fails_nothing_is_raised_and_all_is_accounted_for(
    directory: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """Every tenth call of an operation on files fails."""
    from otel_loggedmodel.delivery import segments

    calls = 0

    class Failing(segments.FileIO):
        pass

    def fail(self, *arguments):
        nonlocal calls
        calls += 1
        if calls % 10 == 0:
            raise OSError(errno.EIO, "Input/output error")
        return getattr(segments_file, operation)(self, *arguments)

    segments_file = segments.FileIO
    setattr(Failing, operation, fail)
    monkeypatch.setattr(segments, "FileIO", Failing)
    drops = Drops()
    spool = make_spool(directory, clocks, segment_bytes=2000, on_drop=drops)
    delivered: list[bytes] = []
    for number in range(300):
        spool.append(Kind.SPANS, b"%04d" % number, 1)
        clocks.pass_seconds(1)
        if number % 3 == 0 and (stored := spool.next()) is not None:
            delivered.append(stored.payload)
            spool.done(stored)
    for _ in range(100):
        clocks.pass_seconds(31)
        delivered += drain(spool)
    assert len(set(delivered)) == len(delivered)
    assert len(delivered) + sum(count for _, _, count in drops) == 300
    assert len(delivered) >= 290
    spool.close()


def link_to_what_never_ends(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make_odd", [os.mkfifo, os.mkdir, link_to_what_never_ends])
@pytest.mark.parametrize("odd", ["spans_000000000000001_0123456789abcdef.v1", "lock", "destination.json"])
def test_what_is_no_regular_file_is_passed_over(
    directory: Path, clocks: Clocks, odd: str, make_odd: Callable[[Path], None]
) -> None:
    """Nobody waits for the other end of a pipe that lies where a file should."""
    left = make_spool(directory, clocks, about={"endpoint": "http://collector"})
    left.append(Kind.SPANS, b"left", 1)
    left.close()
    (owner,) = [path for path in directory.iterdir() if path.is_dir()]
    strange = (directory if odd == "destination.json" else owner) / odd
    with contextlib.suppress(FileNotFoundError):
        strange.unlink()
    make_odd(strange)

    def taken() -> list[bytes]:
        found = make_spool(directory, clocks)
        found.adopt()
        return drain(found)

    survey(directory.parent)
    elsewhere(directory.parent / "other", {"endpoint": "http://collector"})
    payloads = within(60, taken)
    # Nobody may take what is there where there is no lock to hold; a pipe can be one.
    assert payloads == ([] if odd == "lock" and make_odd is not os.mkfifo else [b"left"])
