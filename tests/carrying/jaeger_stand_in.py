# SPDX-License-Identifier: Apache-2.0
"""Answers as Jaeger's query API does, with traces of times that nobody could wait for, and with troubles on demand."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

from answering import AnsweringServer

Question = Mapping[str, str]
Answer = tuple[int, str, bytes]


def trace(number: int, start_us: int, *, spans: int = 1, service: str = "shop", version: str = "") -> dict[str, Any]:
    """A trace as Jaeger's pages get it: a server's span with calls inside of it."""
    trace_id = f"{number + 1:032x}"
    made = []
    for place in range(spans):
        tags = [{"key": "span.kind", "type": "string", "value": "server" if place == 0 else "client"}]
        if version:
            tags.append({"key": "logged_model.id", "type": "string", "value": version})
        parent = {"refType": "CHILD_OF", "traceID": trace_id, "spanID": f"{(number + 1) * 1000:016x}"}
        made.append(
            {
                "traceID": trace_id,
                "spanID": f"{(number + 1) * 1000 + place:016x}",
                "operationName": "answer" if place == 0 else "call",
                "references": [parent] if place else [],
                "startTime": start_us + place,
                "duration": 1000,
                "tags": tags,
                "logs": [],
                "processID": "p1",
                "warnings": None,
            }
        )
    return {"traceID": trace_id, "spans": made, "processes": {"p1": {"serviceName": service, "tags": []}}}


class Jaeger(AnsweringServer):
    """A server with traces.

    Args:
        traces: What it has.
        trouble: Asked first; what it answers instead, or None.
        has_otlp: Whether it answers under /api/v3.
    """

    def __init__(
        self,
        traces: Sequence[Mapping[str, Any]] = (),
        trouble: Callable[[str, Question], Answer | None] = lambda path, question: None,
        *,
        has_otlp: bool = False,
    ) -> None:
        self.traces = list(traces)
        self.trouble = trouble
        self.has_otlp = has_otlp
        self.asked: list[tuple[str, Question]] = []
        super().__init__(self._answer)

    def _answer(self, method: str, address: str, body: object) -> tuple[int, Mapping[str, str], bytes]:
        url = urlsplit(address)
        question = {key: values[0] for key, values in parse_qs(url.query).items()}
        status, content_type, content = self.answer(url.path, question)
        return status, {"content-type": content_type}, content

    def answer(self, path: str, question: Question) -> Answer:
        self.asked.append((path, question))
        troubled = self.trouble(path, question)
        if troubled is not None:
            return troubled
        match path:
            case "/api/services":
                names = sorted({one["processes"]["p1"]["serviceName"] for one in self.traces})
                return in_json({"data": names, "total": len(names), "limit": 0, "offset": 0, "errors": None})
            case "/api/traces":
                found = self._found(
                    question["service"], int(question["start"]), int(question["end"]), int(question["limit"])
                )
                return in_json({"data": found, "total": 0, "limit": 0, "offset": 0, "errors": None})
            case "/api/v3/traces" if self.has_otlp:
                found = self._found(
                    question["query.service_name"],
                    _us(question["query.start_time_min"]),
                    _us(question["query.start_time_max"]),
                    int(question["query.num_traces"]),
                )
                if not found:
                    return in_json({"error": {"httpCode": 404, "message": "No traces found"}}, 404)
                return in_json(
                    {"result": {"resourceSpans": [_in_otlp(span) for one in found for span in one["spans"]]}}
                )
        return 404, "text/plain", b"404 page not found\n"

    def _found(self, service: str, start_us: int, end_us: int, limit: int) -> list[Mapping[str, Any]]:
        of_service = [one for one in self.traces if one["processes"]["p1"]["serviceName"] == service]
        found = [one for one in of_service if any(start_us <= span["startTime"] <= end_us for span in one["spans"])]
        return found[-limit:]  # the newest, without a word of the others


def in_json(document: object, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(document).encode()


def late(seconds: float) -> Answer:
    time.sleep(seconds)
    return in_json({"data": []})


def _us(text: str) -> int:
    return round(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp() * 1_000_000)


def _in_otlp(span: Mapping[str, Any]) -> dict[str, Any]:
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    kind = {"server": 2, "client": 3}[tags.pop("span.kind")]
    start = span["startTime"] * 1000 + 7  # Jaeger's own storage has nanoseconds
    made = {
        "traceId": span["traceID"],
        "spanId": span["spanID"],
        "parentSpanId": span["references"][0]["spanID"] if span["references"] else "",
        "name": span["operationName"],
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 1_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in tags.items()],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resource": resource, "scopeSpans": [{"scope": {}, "spans": [made]}]}
