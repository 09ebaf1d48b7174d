# SPDX-License-Identifier: Apache-2.0
"""Versions whose records are too large for one span, stored and read: they are what they were before they were sent."""

import dataclasses
import random
import time
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.server.checking import check
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.version_results import VersionDetail
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent

from .conftest import filled

RESOURCE = Resource({"service.name": "shop"})
PROMPT = "Sei freundlich, häufig und 🙂. " * 4000
PARAMS = {"prompt": PROMPT, "llm": "small", **{f"option {number}": str(number) for number in range(80)}}
TAGS = {"notes": PROMPT[::-1], "team": "support"}
HOUR = 3600 * 10**9


def history(model_id: str, now_ns: int, rng: random.Random) -> list[ModelEvent]:
    """Made with long texts and many of them, and changed since then."""
    created = ModelEvent(
        "created", model_id, now_ns, name=model_id, experiment_id="0", status=LoggedModelStatus.READY, params=PARAMS,
        tags=TAGS,
    )  # fmt: skip
    changed = {"params": {"late": PROMPT + "late"}, "tags": {f"t{number}": PROMPT[number:] for number in range(3)}}
    updated = ModelEvent("updated", model_id, now_ns + HOUR, rng.getrandbits(63) + 1, **changed)  # type: ignore[arg-type]
    untagged = ModelEvent("updated", model_id, now_ns + 2 * HOUR, rng.getrandbits(63) + 1, tags_deleted=("notes", "t1"))
    return [created, updated, untagged]


def spans(events: list[ModelEvent], later_ns: int | None = None) -> list[ReadableSpan]:
    at = None if later_ns is None else events[0].time_ns + later_ns
    return [span for event in events for span in records.spans_of(event, RESOURCE, at)]


WHOLE, PIECES, SHUFFLED, MIXED, TORN = (
    identity.model_id_of("0", "a", model_type=None, params={"n": str(n)}, source_run_id=None, tags={}) for n in range(5)
)


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    """A store with one history under several ids, which arrived in as many ways."""
    rng = random.Random(5)
    now_ns = time.time_ns() - 30 * HOUR
    by_id = {model_id: history(model_id, now_ns, rng) for model_id in (WHOLE, PIECES, SHUFFLED, MIXED, TORN)}
    arriving = [records.span_of(event, RESOURCE) for event in by_id[WHOLE]] + spans(by_id[PIECES])
    copies = [*spans(by_id[SHUFFLED]), *spans(by_id[SHUFFLED], 12 * HOUR), *spans(by_id[SHUFFLED], 24 * HOUR)]
    rng.shuffle(copies)
    # An earlier release has sent it whole, of which a copy went on; then this one sent it.
    mixed = [records.span_of(event, RESOURCE) for event in by_id[MIXED]] + spans(by_id[MIXED], 12 * HOUR)
    # One of the many spans is lost.
    torn = spans(by_id[TORN])
    del torn[
        next(place for place, span in enumerate(torn) if span.attributes.get("logged_model.piece.of") == "param.late")
    ]
    sent = [*arriving, *copies, *mixed, *torn]
    requests = [
        check(encode_spans(sent[start::7]).SerializeToString(), Settings(), time.time_ns()).payload
        for start in range(7)
    ]
    with filled(clickhouse_server, requests) as opened:
        yield opened


def told(detail: VersionDetail) -> tuple[object, ...]:
    """What is known of a version, but for its id."""
    version = detail.version
    changes = [dataclasses.replace(entry, time_ms=entry.time_ms // 1000) for entry in detail.history]
    return (dict(version.params), dict(version.tags), version.status, version.creation_timestamp, changes)


def test_a_record_in_one_span_is_read_as_it_was(reader: StoreReader) -> None:
    version = reader.version(WHOLE).version
    assert version.params == {**PARAMS, "late": PROMPT + "late"}
    assert version.tags == {"team": "support", "t0": PROMPT, "t2": PROMPT[2:]}


@pytest.mark.parametrize("model_id", [PIECES, SHUFFLED, MIXED], ids=["in pieces", "copies in any order", "as of old"])
def test_a_record_in_pieces_is_read_as_if_it_were_one_span(reader: StoreReader, model_id: str) -> None:
    assert told(reader.version(model_id)) == told(reader.version(WHOLE))
    assert [entry.kind for entry in reader.version(model_id).history] == ["created", "updated", "updated"]


def test_a_piece_that_is_lost_costs_the_end_of_one_value(reader: StoreReader) -> None:
    version, whole = reader.version(TORN).version, reader.version(WHOLE).version
    (key,) = [key for key in whole.params if version.params[key] != whole.params[key]]
    assert key == "late"
    beginning, _, said = version.params[key].partition("… [cut: ")
    assert PROMPT.startswith(beginning)
    assert said.startswith(f"{len(beginning.encode()):,} of {len(PROMPT.encode()) + 4:,} bytes arrived")
    assert version.tags == whole.tags


def test_the_list_has_each_version_once_with_all_of_it(reader: StoreReader) -> None:
    listed = {one.model_id: one for one in reader.versions()}
    assert set(listed) == {WHOLE, PIECES, SHUFFLED, MIXED, TORN}
    assert listed[SHUFFLED].params == listed[WHOLE].params


def test_versions_in_pieces_are_compared_by_their_whole_texts(reader: StoreReader) -> None:
    assert not [part for part in reader.compare([WHOLE, SHUFFLED]).configuration if part.kind in ("param", "tag")]
