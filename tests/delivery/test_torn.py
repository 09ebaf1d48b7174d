# SPDX-License-Identifier: Apache-2.0
"""Files that were cut off, flipped or overwritten: what is whole is delivered, and what is lost is counted."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from otel_loggedmodel.delivery.segments import Name, Segment
from otel_loggedmodel.delivery.spool import Kind

from .storing import Drops, drain, forked_with_pipe, make_spool, segments_in

REQUESTS = [(b"first", 3), (b"", 1), (b"third" * 9, 40), (b"fourth", 5)]
SPANS = sum(count for _, count in REQUESTS)


def written(directory: Path) -> tuple[bytes, list[tuple[int, int]], str]:
    """The bytes of a segment, where its records begin and end, and its name."""
    with Segment.create(directory, "spans", 1_800_000_000_000) as segment:
        for payload, count in REQUESTS:
            segment.append(payload, count, 1_800_000_000_000)
        places = [(record.start, record.end) for record in segment.records()]
    path = Path(segment.path)
    content = path.read_bytes()
    path.unlink()
    return content, places, path.name


def delivered_of(directory: Path, name: str, content: bytes) -> tuple[list[bytes], int]:
    """What a new process makes of such a file, and how many spans it says are lost."""
    owner = directory / "1-0123456789ab"
    owner.mkdir(parents=True, mode=0o700)
    (owner / name).write_bytes(content)
    drops = Drops()
    spool = make_spool(directory, on_drop=drops)
    spool.adopt()
    delivered = drain(spool)
    pending = spool.pending
    spool.close()
    assert not pending
    assert segments_in(directory) == []
    assert set(drops) <= {("damaged", Kind.SPANS, drops.count("damaged"))}
    return delivered, drops.count("damaged")


@pytest.fixture
def fresh(tmp_path: Path):
    """A new directory each time."""
    numbers = iter(range(10**6))
    tmp_path.chmod(0o700)

    def make() -> Path:
        directory = tmp_path / str(next(numbers))
        directory.mkdir(mode=0o700)
        return directory

    return make


def test_cut_off_anywhere(fresh) -> None:
    content, places, name = written(fresh())
    for length in range(0, len(content), times(full=1, quick=7)):
        delivered, lost = delivered_of(fresh(), name, content[:length])
        whole = [request for request, (_, end) in zip(REQUESTS, places, strict=True) if end <= length]
        assert delivered == [payload for payload, _ in whole], length
        # Below 48 bytes the file does not say any more how many there were.
        assert lost == (SPANS - sum(count for _, count in whole) if length >= 48 else 0), length


def test_every_flipped_bit(fresh) -> None:
    content, places, name = written(fresh())
    for position in range(0, len(content), times(full=1, quick=7)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        delivered, lost = delivered_of(fresh(), name, bytes(flipped))
        hurt = [index for index, (start, end) in enumerate(places) if start <= position < end]
        assert delivered == [payload for index, (payload, _) in enumerate(REQUESTS) if index not in hurt], position
        assert lost == sum(REQUESTS[index][1] for index in hurt), position


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_damage_leaves_the_undamaged(fresh, data: st.DataObject) -> None:
    requests = data.draw(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 2**32 - 1)), max_size=6))
    with Segment.create(fresh(), "spans", 0) as segment:
        for payload, count in requests:
            segment.append(payload, count, 0)
        places = [(record.start, record.end) for record in segment.records()]
    original = Path(segment.path).read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=100))[: len(content) - start]
        content[start : start + len(noise)] = noise
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    damaged = {at for at, (one, other) in enumerate(zip(original, content, strict=True)) if at >= end or one != other}
    with Segment.create(fresh(), "spans", 0) as other:  # its own name and marker stay those of the damaged one
        path = Path(other.path).with_name(Path(segment.path).name)
    path.write_bytes(content[:end])
    with Segment.found(str(path), Name.of(path.name)) as read:
        payloads = [record.payload for record in read.records()]
    undamaged = [
        payload
        for (payload, _), (start, stop) in zip(requests, places, strict=True)
        if not damaged & set(range(start, stop))
    ]
    # Damage that makes another valid note of what is done with is 1 in 2**32.
    assert [payload for payload in payloads if payload in undamaged] == undamaged


def test_reading_anything_ends(fresh) -> None:
    randomness = random.Random(5)
    for _ in range(times(full=200, quick=40)):
        name = "spans_001800000000000_0123456789abcdef.v1"
        content = bytearray(randomness.randbytes(randomness.randrange(2000)))
        for _ in range(randomness.randrange(20)):
            at = randomness.randrange(len(content) + 1)
            content[at:at] = bytes.fromhex("0123456789abcdef")
        assert delivered_of(fresh(), name, bytes(content))[0] == []


def test_resynchronising_over_megabytes(fresh) -> None:
    directory = fresh()
    with Segment.create(directory, "spans", 0) as segment:
        segment.append(random.Random(1).randbytes(3_500_000), 1, 0)
        segment.append(b"after", 1, 0)
    content = bytearray(Path(segment.path).read_bytes())
    content[60] ^= 4  # the length of the first
    Path(segment.path).write_bytes(content)
    with Segment.found(segment.path, Name.of(Path(segment.path).name)) as found:
        assert [record.payload for record in found.records()] == [b"after"]


def test_damage_met_by_its_own_process_is_counted(tmp_path: Path) -> None:
    drops = Drops()
    spool = make_spool(tmp_path / "spool" / "key", on_drop=drops)
    for number in range(4):
        spool.append(Kind.SPANS, b"request %d" % number, 10 + number)
    (path,) = segments_in(tmp_path / "spool" / "key")
    content = bytearray(path.read_bytes())
    at = content.index(b"request 1")
    content[at] ^= 1
    path.write_bytes(content)
    assert drain(spool) == [b"request 0", b"request 2", b"request 3"]
    assert drops == [("damaged", Kind.SPANS, 11)]
    spool.close()


def write_for_ever(directory: Path, told: int) -> None:
    spool = make_spool(directory, segment_bytes=200_000)
    number = 0
    while True:
        spool.append(Kind.SPANS, b"%08d" % number * 2000, 1)
        # Handed in: whoever reads this may rely on it.
        os.write(told, b"%08d\n" % number)
        number += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.takes(10)
def test_killed_at_any_moment(tmp_path: Path) -> None:
    randomness = random.Random(20)
    directory = tmp_path / "spool" / "key"
    for life in range(times(full=100, quick=20)):
        child, told = forked_with_pipe(lambda told: write_for_ever(directory, told))
        with told:
            # Now and then so much that it takes more than one file.
            handed_in = sum(bool(told.readline()) for _ in range(1 if life % 10 else 25))
            time.sleep(randomness.random() * 0.01)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            handed_in += sum(len(line) == 9 for line in told)
        drops = Drops()
        spool = make_spool(directory, on_drop=drops)
        spool.adopt()
        delivered = drain(spool)
        spool.close()
        assert all(payload == payload[:8] * 2000 for payload in delivered)
        # In order, each once; the one that was being written may be there already.
        assert [int(payload[:8]) for payload in delivered] == list(range(len(delivered)))
        assert len(delivered) - handed_in in (0, 1)
        assert drops == []
