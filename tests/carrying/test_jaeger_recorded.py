# SPDX-License-Identifier: Apache-2.0
"""What Jaeger 1.76 in memory has answered for three spans, in both of its forms, becomes what was sent.

They were sent over OTLP: a server's span of a version with a call inside of it, and the record of the version.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.commands.carrying.jaeger_api import JaegerApi
from otel_loggedmodel.commands.carrying.jaeger_import import JaegerImport
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Sink
from otel_loggedmodel.commands.exchange.filling import Filled
from store.conftest import empty_store

from .jaeger_stand_in import Answer, Jaeger, Question, in_json

VERSION = "m-24cfe0299b97f211090b9b8fe0bc002b"
TRACE = "8566f6a087808afdb5bc0b7f61750ce4"
START_US = 1796050923685448


@pytest.fixture
def answering(recorded: Path) -> Iterator[Jaeger]:
    """A server that has these answers; in OTLP while it says so."""
    pages = json.loads((recorded / "jaeger.json").read_text(encoding="utf-8"))
    otlp = json.loads((recorded / "jaeger-v3.json").read_text(encoding="utf-8"))

    def answer(path: str, question: Question) -> Answer | None:
        if path == "/api/v3/traces" and jaeger.has_otlp:
            return in_json(otlp)
        return in_json(pages) if path == "/api/traces" else None

    with Jaeger(trouble=answer) as jaeger:
        yield jaeger


def imported(jaeger: Jaeger, filled: Filled, directory: Path) -> tuple[Any, ...]:
    api = JaegerApi(jaeger.uri)
    work = JaegerImport(api, Sink(filled), Positions(f"chdb://{directory}"), lambda *_: None)
    result = work.run(["shop"], START_US - 10**6, START_US + 10**6)
    api.close()
    assert (result.traces, result.carried.spans, result.carried.refused) == (2, 3, 0)
    return filled.reader.trace(TRACE).spans


@pytest.mark.parametrize("has_otlp", [False, True], ids=["JSON of its pages", "OTLP"])
def test_what_was_sent_comes_back(
    answering: Jaeger, clickhouse_server: ClickHouseServer, tmp_path: Path, *, has_otlp: bool
) -> None:
    answering.has_otlp = has_otlp
    with empty_store(clickhouse_server) as store:
        filled = Filled(store.reader, store.writer, store.log_writer)
        check(filled, imported(answering, filled, tmp_path))


def check(filled: Filled, spans: tuple[Any, ...]) -> None:
    root, call = spans
    assert (root.name, root.kind, root.service, root.scope, root.parent_span_id) == (
        "answer",
        "Server",
        "shop",
        "tests",
        None,
    )
    assert (call.name, call.kind, call.parent_span_id, call.status, call.status_message) == (
        "call",
        "Client",
        root.span_id,
        "Error",
        "why",
    )
    assert dict(call.attributes) == {
        "text": "günstig",
        "flag": "true",
        "float": "0.5",
        "big": str(2**62),
        "negative": "-1",
        "texts": '["a",""]',
        "numbers": "[1,2]",
        "bytes": "AP8=",
        "logged_model.id": VERSION,
    }
    assert dict(root.resource) == {"n": "3", "service.name": "shop"}
    ((event),) = call.events
    assert (event.name, dict(event.attributes)) == ("event", {"key": "value"})
    ((link),) = root.links
    assert (link.trace_id, link.attributes["logged_model.id"]) == (VERSION[2:], VERSION)
    detail = filled.reader.version(VERSION)
    assert (detail.version.name, dict(detail.version.params), detail.version.traces) == ("recorded", {"llm": "a"}, 1)
    (record,) = filled.reader.trace(VERSION[2:]).spans
    assert not [key for key in record.attributes if key.startswith("@")]
