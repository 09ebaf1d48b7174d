# SPDX-License-Identifier: Apache-2.0
"""The format of a spool's files: what is written can be read, by this version and by any later one."""

import os
from pathlib import Path

import pytest

from otel_loggedmodel.delivery.segments import Name, Record, Segment

# A file as the first version wrote it: three records of 3, 1 and 40 spans, the first of which was done with.
OF_VERSION_1 = bytes.fromhex(
    "6f746c7073706f6c01000000000000005b000000000000000300000083978924b1000000000000002c00000062c37a7e"
    "0123456789abcdef07000000030000000000000000505c18a3010000df8167331316a76f666972737421210123456789"
    "abcdef060000000100000000000000f4515c18a301000069111fb6f422771d7365636f6e640123456789abcdef050000"
    "002800000003000000e8535c18a301000012ced3b50507321b7768797468697264"
)


def written(tmp_path: Path, *requests: tuple[bytes, int]) -> Segment:
    segment = Segment.create(tmp_path, "spans", 1_800_000_000_000)
    for number, (payload, count) in enumerate(requests):
        segment.append(payload, count, 1_800_000_000_000 + number)
    return segment


def found(segment: Segment) -> Segment:
    """As another process finds it."""
    return Segment.found(segment.path, Name.of(Path(segment.path).name))


def payloads(segment: Segment) -> list[bytes]:
    with segment:
        return [record.payload for record in segment.records()]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    with written(tmp_path, (b"one", 1), (b"", 0), (large, 70_000)) as segment:
        records = list(segment.records())
    assert [record.payload for record in records] == [b"one", b"", large]
    assert [record.count for record in records] == [1, 0, 70_000]
    assert [record.stored_ms - 1_800_000_000_000 for record in records] == [0, 1, 2]
    other = found(segment)
    assert list(other.records()) == records
    assert (other.size, other.spans, other.spans_unread) == (segment.size, 70_001, 70_001)
    other.close()


def test_a_note_stays_with_its_record(tmp_path: Path) -> None:
    with Segment.create(tmp_path, "refused", 5) as segment:
        segment.append(b"poison", 1, 7, note="400: ungültig" + "x" * 5000)
        segment.append(b"other", 1, 8)
        first, second = segment.records()
    assert first.note.startswith("400: ungültigxxx")
    assert len(first.note.encode()) == 1024
    assert (first.payload, second.payload, second.note) == (b"poison", b"other", "")


def test_what_is_done_with_is_not_found_again(tmp_path: Path) -> None:
    with written(tmp_path, (b"one", 1), (b"two", 2), (b"three", 3)) as segment:
        segment.done(next(segment.records()))
        other = found(segment)
        assert payloads(other) == [b"two", b"three"]
        assert (other.spans_unread, other.unread) == (5, segment.size - segment.read)
        segment.done(segment.next())
        segment.done(segment.next())
        assert segment.next() is None
        assert found(segment).unread == 0


def test_appending_goes_on_while_it_is_read(tmp_path: Path) -> None:
    with written(tmp_path, (b"one", 1)) as segment:
        segment.done(segment.next())
        assert segment.next() is None
        segment.append(b"two", 1, 0)
        assert segment.next().payload == b"two"


@pytest.mark.parametrize(
    "text",
    [
        *("spans_1_0011223344556677.v1x", "spans_1_00112233445566.v1", "spam_1_0011223344556677.v1", "lock"),
        *("spans_-1_0011223344556677.v1", "spans_1_0011223344556677.v", "../spans_1_0011223344556677.v1", ""),
    ],
)
def test_other_names_are_no_segments(text: str) -> None:
    assert Name.of(text) is None


def test_a_name_says_all_that_a_damaged_header_could() -> None:
    name = Name.of("models_001795431806054_03398eabbb73ee9e.v1")
    assert name == Name("models", 1795431806054, bytes.fromhex("03398eabbb73ee9e"), 1)
    assert str(name) == "models_001795431806054_03398eabbb73ee9e.v1"
    assert name.is_readable
    assert not Name.of("models_001795431806054_03398eabbb73ee9e.v2").is_readable


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        segment = written(tmp_path, (b"secret", 1))
    finally:
        os.umask(previous)
    segment.close()
    assert Path(segment.path).stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    segment = written(tmp_path, (b"one", 1))
    segment.close()
    link = tmp_path / "spans_1_0011223344556677.v1"
    link.symlink_to(segment.path)
    with pytest.raises(OSError, match="symbolic"):
        Segment.found(str(link), Name.of(link.name))


def test_a_record_inside_a_payload_is_not_taken_for_one(tmp_path: Path) -> None:
    # A request may hold anything, even a whole segment: markers differ from file to file.
    with written(tmp_path, (b"planted", 1)) as planted:
        content = Path(planted.path).read_bytes()
    with written(tmp_path, (content, 1), (b"after", 1)) as segment:
        raw = bytearray(Path(segment.path).read_bytes())
        raw[50] ^= 1  # in the head of the first record, so that the reader has to look for the next
        Path(segment.path).write_bytes(raw)
        assert payloads(found(segment)) == [b"after"]


def test_a_file_of_the_first_version_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "spans_001800000000000_0123456789abcdef.v1"
    path.write_bytes(OF_VERSION_1)
    with Segment.found(str(path), Name.of(path.name)) as segment:
        records = list(segment.records())
    assert records == [
        Record(b"second", 1, records[0].checksum, 1_800_000_000_500, "", 91, 133),
        Record(b"third", 40, records[1].checksum, 1_800_000_001_000, "why", 133, 177),
    ]
    assert (segment.spans, segment.spans_read, segment.read) == (44, 3, 91)
