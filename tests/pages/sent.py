# SPDX-License-Identifier: Apache-2.0
"""What there is to see: messages in every convention, a huge trace, versions that say how they came to be."""

import base64
import json
import random
import struct
import time
import zlib
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource

from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent
from planted_traces import Value, write_attributes
from planted_versions import HOSTILE

CHAT = "chat-agent"
# What is sent while pages are open.
ADDED = "added-agent"
PROMPT = "You are a support agent.\nAnswer in one sentence.\nBe polite.\nNever promise a refund."
NEW_PROMPT = PROMPT.replace("one sentence", "at most three sentences")
DIFF = "diff --git a/app.py b/app.py\n--- a/app.py\n+++ b/app.py\n@@ -1,2 +1,2 @@\n-retries = 1\n+retries = 3\n run()\n"
BIG_TRACE = "b" * 32
BIG = 10_000
OTEL_TRACE, OPENINFERENCE_TRACE, OPENLLMETRY_TRACE = "a" * 31 + "1", "a" * 31 + "2", "a" * 31 + "3"
FAILED_TRACE = "a" * 31 + "4"
PICTURES_TRACE = "a" * 31 + "5"

_OLD_PARAMS = {"llm": "gpt-4o", "prompt": PROMPT, "temperature": "0.7"}
_NEW_PARAMS = {"llm": "gpt-4o-mini", "prompt": NEW_PROMPT, "temperature": "0.2"}
LONG = ("long-1", "long-2")
OLD_CHAT = identity.model_id_of("0", CHAT, params=_OLD_PARAMS)
NEW_CHAT = identity.model_id_of("0", CHAT, params=_NEW_PARAMS)

OTEL: Mapping[str, Value] = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": f"Where is my parcel? {HOSTILE}"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "1", "name": "track", "arguments": {"parcel": "P-77"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "in Graz"}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "It is in Graz."}], "finish_reason": "stop"}]
    ),
}
OPENINFERENCE: Mapping[str, Value] = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o-mini",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "Where is my parcel?",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "It is in Linz.",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "track",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"parcel": "P-78"}',
    "llm.token_count.prompt": 31,
    "llm.token_count.completion": 7,
}
OUTSIDE = "https://pictures.invalid/cat.jpg"
LONG_RESULT = "row, " * 40_000


def picture(width: int = 500, height: int = 450) -> bytes:
    """A picture of noise, so that it is about as large in a file as on a screen."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = random.Random(9)
    rows = b"".join(b"\0" + noise.randbytes(width * 3) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


PICTURE = picture()
PICTURES: Mapping[str, Value] = {
    "gen_ai.input.messages": json.dumps(
        [
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "What is on these?"},
                    {
                        "type": "blob",
                        "modality": "image",
                        "mime_type": "image/png",
                        "content": base64.b64encode(PICTURE).decode(),
                    },
                    {"type": "blob", "modality": "image", "mime_type": "image/svg+xml", "content": "PHN2Zy8+"},
                    {"type": "uri", "modality": "image", "mime_type": "image/jpeg", "uri": OUTSIDE},
                    {"type": "uri", "modality": "image", "uri": "javascript:alert(1)"},
                    {"type": "file", "modality": "document", "mime_type": "application/pdf", "file_id": "file-77"},
                ],
            },
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": {}}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": LONG_RESULT}]}]
    ),
}
OPENLLMETRY: Mapping[str, Value] = {
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Where is my parcel?",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "It is in Wien.",
    "gen_ai.completion.0.tool_calls.0.name": "track",
    "gen_ai.completion.0.tool_calls.0.arguments": '{"parcel": "P-79"}',
    "gen_ai.usage.prompt_tokens": 41,
    "gen_ai.usage.completion_tokens": 8,
}


def requests_of_chats(now_ns: int, traces: int = 60) -> list[bytes]:
    """Two versions of an application that answers questions, the newer quicker, and live; and their records."""
    rng = random.Random(7)
    request = ExportTraceServiceRequest()
    spans = _spans_of(request, CHAT)
    hour = 3600 * 10**9
    for number in range(traces):
        for model_id, age, factor in ((OLD_CHAT, 40 * hour, 1.0), (NEW_CHAT, 30 * hour, 0.6)):
            start = now_ns - age * (traces - number) // traces - 60 * 10**9
            trace_id = rng.randbytes(16)
            _chat(spans, trace_id, model_id, start, rng.uniform(500, 1500) * factor, OTEL, error=number % 10 == 0)
    for trace_id, attributes in (
        (OTEL_TRACE, OTEL),
        (OPENINFERENCE_TRACE, OPENINFERENCE),
        (OPENLLMETRY_TRACE, OPENLLMETRY),
        (PICTURES_TRACE, PICTURES),
    ):
        _chat(spans, bytes.fromhex(trace_id), NEW_CHAT, now_ns - 50 * 10**9, 400, attributes)
    _chat(spans, bytes.fromhex(FAILED_TRACE), NEW_CHAT, now_ns - 40 * 10**9, 400, OTEL, error=True)
    return [_records(now_ns - 48 * hour), request.SerializeToString()]


def requests_of_long_texts(now_ns: int) -> list[bytes]:
    """Two versions, and a trace of each, in which no text has a place to break at."""
    request = ExportTraceServiceRequest()
    spans = _spans_of(request, "s" * 120)
    said = [{"role": "user", "parts": [{"type": "text", "content": "W" * 400}]}]
    for number, model_id in enumerate(LONG):
        _chat(
            spans,
            bytes.fromhex(f"{number:x}" + "c" * 31),
            model_id,
            now_ns - 10**9 * 60,
            300,
            {"gen_ai.input.messages": json.dumps(said), "session.id": "c" * 200},
            name="n" * 200,
            error=True,
        )
    for span in spans:
        span.name = f"{span.name}/{'route/' * 40}"
        if span.HasField("status"):
            span.status.message = "E" * 300
    events = [
        ModelEvent(
            kind="created",
            time_ns=now_ns - 10**9 * 600,
            model_id=model_id,
            name="n" * 200,
            experiment_id="0",
            params={"p" * 200: "v" * 2000, "prompt": "x" * number},
            tags={"release": "r" * (120 + number), "stage": "g" * 80},
            status=LoggedModelStatus.READY,
        )
        for number, model_id in enumerate(LONG, 300)
    ]
    records_of_them = [records.span_of(event, Resource({"service.name": "s" * 120})) for event in events]
    return [request.SerializeToString(), encode_spans(records_of_them).SerializeToString()]


def request_of_big_trace(now_ns: int) -> bytes:
    """A trace of ten thousand spans, some of them deep."""
    rng = random.Random(8)
    request = ExportTraceServiceRequest()
    spans = _spans_of(request, "batch")
    ids = [rng.randbytes(8) for _ in range(BIG)]
    for number, span_id in enumerate(ids):
        parent = b"" if number == 0 else ids[number - 1] if number % 50 else ids[0]
        span = spans.add(
            trace_id=bytes.fromhex(BIG_TRACE),
            span_id=span_id,
            parent_span_id=parent,
            name=f"step {number}",
            start_time_unix_nano=now_ns - 10**9 * 3600 + number * 10**6,
            end_time_unix_nano=now_ns - 10**9 * 3600 + (number + 3) * 10**6,
        )
        write_attributes(span.attributes, {"number": number, "logged_model.id": "batch-v1"})
    return request.SerializeToString()


def request_of_answer(model_id: str, now_ns: int | None = None) -> bytes:
    """One more trace of a version of a name of its own, as other tests list all versions of the others."""
    request = ExportTraceServiceRequest()
    spans = _spans_of(request, ADDED)
    _chat(spans, random.randbytes(16), model_id, (now_ns or time.time_ns()) - 10**9, 300, OTEL, name=ADDED)
    return request.SerializeToString()


def request_of_chat(model_id: str, trace_id: str, answer: str) -> bytes:
    """A trace of such a version, in which the model answers this."""
    request = ExportTraceServiceRequest()
    spans = _spans_of(request, ADDED)
    said = [{"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}]
    messages = {**OTEL, "gen_ai.output.messages": json.dumps(said)}
    _chat(spans, bytes.fromhex(trace_id), model_id, time.time_ns() - 10**9, 300, messages, name=ADDED)
    return request.SerializeToString()


def _spans_of(request: ExportTraceServiceRequest, service: str):  # type: ignore[no-untyped-def]
    resource_spans = request.resource_spans.add()
    write_attributes(resource_spans.resource.attributes, {"service.name": service, "host.name": f"{service}-1"})
    return resource_spans.scope_spans.add().spans


def _chat(
    spans,  # type: ignore[no-untyped-def]
    trace_id: bytes,
    model_id: str,
    start_ns: int,
    milliseconds: float,
    messages: Mapping[str, Value],
    *,
    name: str = CHAT,
    error: bool = False,
) -> None:
    rng = random.Random(trace_id)
    end_ns = start_ns + round(milliseconds * 1e6)
    entry, call = rng.randbytes(8), rng.randbytes(8)
    root = spans.add(
        trace_id=trace_id,
        span_id=entry,
        name="POST /chat",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
        status=Status(code=2, message="the model did not answer") if error else None,
    )
    write_attributes(root.attributes, {"logged_model.id": model_id, "logged_model.name": name})
    if error:
        write_attributes(root.attributes, {"error.type": "TimeoutError"})
    child = spans.add(
        trace_id=trace_id,
        span_id=call,
        parent_span_id=entry,
        name="chat gpt-4o-mini",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start_ns + (end_ns - start_ns) // 10,
        end_time_unix_nano=end_ns - (end_ns - start_ns) // 10,
        status=Status(code=2, message="timed out") if error else None,
    )
    tokens = (
        {}
        if any("token" in key for key in messages)
        else {"gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 6}
    )
    known = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    write_attributes(child.attributes, {"logged_model.id": model_id, **known, **tokens, **messages})
    if error:
        event = child.events.add(name="exception", time_unix_nano=end_ns)
        write_attributes(
            event.attributes,
            {"exception.type": "TimeoutError", "exception.message": HOSTILE, "exception.stacktrace": "in call"},
        )
    result = spans.add(
        trace_id=trace_id,
        span_id=rng.randbytes(8),
        parent_span_id=call,
        name="gen_ai.evaluation.result",
        start_time_unix_nano=end_ns,
        end_time_unix_nano=end_ns,
    )
    write_attributes(
        result.attributes,
        {
            "logged_model.id": model_id,
            "gen_ai.evaluation.name": "helpfulness",
            "gen_ai.evaluation.score.value": round(rng.uniform(0.5, 1.0), 3),
            "gen_ai.evaluation.explanation": "It names the town.",
            "logged_model.evaluation.source": "llm",
        },
    )


def _records(time_ns: int) -> bytes:
    events = []
    for number, (model_id, params, commit) in enumerate(
        ((OLD_CHAT, _OLD_PARAMS, "1" * 40), (NEW_CHAT, _NEW_PARAMS, "2" * 40))
    ):
        made_ns = time_ns + number * 3600 * 10**9
        tags = {
            "vcs.ref.head.revision": commit,
            "vcs.ref.head.name": "main",
            "git.dirty": "true" if number else "false",
        }
        if number:
            tags["git.diff"] = DIFF
        common = {"model_id": model_id, "name": CHAT, "experiment_id": "0"}
        events += [
            ModelEvent(
                kind="created", time_ns=made_ns, params=params, tags=tags, status=LoggedModelStatus.READY, **common
            ),
            ModelEvent(
                kind="activated", time_ns=made_ns + (20 if number else 10) * 3600 * 10**9, span_id=number + 1, **common
            ),
        ]
    resource = Resource({"service.name": CHAT, "host.name": f"{CHAT}-1", "deployment.environment.name": "production"})
    return encode_spans([records.span_of(event, resource) for event in events]).SerializeToString()
