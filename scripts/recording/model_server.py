# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the providers of language models, on this machine, which counts what it sells.

It answers as OpenAI (chat, embeddings), Anthropic, Gemini and Bedrock do, whole and mostly in streams. Where tools are
offered it calls the first one once, and then answers. A question with FAIL in it gets a status of 500. No two calls
have the same numbers of tokens, so that a sum says which calls are in it.
"""

import json
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

ANSWER: Final = "ANSWER"
ARGUMENTS: Final = {"city": "Bremen"}


@dataclass(frozen=True)
class Call:
    """One call that was answered.

    Attributes:
        model: The name that was asked for.
        tokens_in: All of the prompt, cached ones included.
        tokens_out: All of the answer, reasoning included.
        cached: The tokens of the prompt that were read from a cache.
        written: The tokens of the prompt that were written to a cache.
    """

    model: str
    tokens_in: int
    tokens_out: int
    cached: int
    written: int = 0


class ModelServer(ThreadingHTTPServer):
    """Listens on a free port of this machine; see `calls` and `failures` for what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.failures = 0
        self._number = 0
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self) -> tuple[list[Call], int]:
        """The calls and failures since this was asked last."""
        with self._lock:
            taken = self.calls, self.failures
            self.calls, self.failures = [], 0
        return taken

    def sell(self, model: str, *, is_embedding: bool = False, writes_cache: bool = False) -> tuple[int, Call]:
        """Count a call."""
        with self._lock:
            self._number += 1
            number = self._number
            tokens = Call(
                model,
                1000 + 7 * number,
                0 if is_embedding else 100 + 3 * number,
                0 if is_embedding else 400 + number,
                200 + 2 * number if writes_cache else 0,
            )
            self.calls.append(tokens)
        return number, tokens

    def fail(self) -> None:
        """Count a failure."""
        with self._lock:
            self.failures += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        request = json.loads(body or b"{}")
        path = self.path.partition("?")[0]
        if "FAIL" in json.dumps(request):
            self.server.fail()
            self._send_json({"error": {"message": "planted 500", "type": "server_error"}}, 500)
            return
        for ending, answer in (
            ("/chat/completions", self._chat),
            ("/embeddings", self._embeddings),
            ("/messages", self._messages),
            (":generateContent", self._gemini),
            (":streamGenerateContent", self._gemini),
            ("/converse", self._converse),
            ("/converse-stream", self._converse),
        ):
            if path.endswith(ending):
                answer(path, request)
                return
        self._send_json({"error": {"message": f"no such path: {path}"}}, 404)

    def do_GET(self) -> None:
        self._send_json({"data": [], "object": "list"})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed for each request."""

    # OpenAI

    def _chat(self, path: str, request: dict[str, Any]) -> None:
        number, call = self.server.sell(request["model"])
        calls_tool = bool(request.get("tools")) and not any(one.get("role") == "tool" for one in request["messages"])
        usage = {
            "prompt_tokens": call.tokens_in,
            "completion_tokens": call.tokens_out,
            "total_tokens": call.tokens_in + call.tokens_out,
            "prompt_tokens_details": {"cached_tokens": call.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 31, "audio_tokens": 0},
        }
        head = {"id": f"chatcmpl-{number}", "created": 1_800_000_000, "model": request["model"]}
        message: dict[str, Any] = {"role": "assistant", "content": None if calls_tool else f"{ANSWER}-{number}"}
        if calls_tool:
            function = {"name": request["tools"][0]["function"]["name"], "arguments": json.dumps(ARGUMENTS)}
            message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
        reason = "tool_calls" if calls_tool else "stop"
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
            self._send_json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        delta = {**message, "tool_calls": [{"index": 0, **one} for one in message.get("tool_calls", [])]}
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        self._send_events([{**head, "object": "chat.completion.chunk", **chunk} for chunk in chunks], last="[DONE]")

    def _embeddings(self, path: str, request: dict[str, Any]) -> None:
        call = self.server.sell(request["model"], is_embedding=True)[1]
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}]
        usage = {"prompt_tokens": call.tokens_in, "total_tokens": call.tokens_in}
        self._send_json({"object": "list", "data": data, "model": request["model"], "usage": usage})

    # Anthropic

    def _messages(self, path: str, request: dict[str, Any]) -> None:
        number, call = self.server.sell(request["model"], writes_cache=True)
        has_result = "tool_result" in json.dumps(request["messages"])
        content: dict[str, Any] = {"type": "text", "text": f"{ANSWER}-{number}"}
        if request.get("tools") and not has_result:
            content = {
                "type": "tool_use",
                "id": f"toolu_{number}",
                "name": request["tools"][0]["name"],
                "input": ARGUMENTS,
            }
        reason = "tool_use" if content["type"] == "tool_use" else "end_turn"
        usage = {
            "input_tokens": call.tokens_in - call.cached - call.written,
            "cache_read_input_tokens": call.cached,
            "cache_creation_input_tokens": call.written,
            "output_tokens": call.tokens_out,
        }
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": request["model"]}
        if not request.get("stream"):
            whole = {"content": [content], "stop_reason": reason, "stop_sequence": None, "usage": usage}
            self._send_json({**message, **whole})
            return
        begun: dict[str, Any] = {"content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        empty = {**content, "text": ""} if content["type"] == "text" else {**content, "input": {}}
        delta = {"type": "text_delta", "text": content.get("text")}
        if content["type"] == "tool_use":
            delta = {"type": "input_json_delta", "partial_json": json.dumps(ARGUMENTS)}
        self._send_named_events(
            {"type": "message_start", "message": {**message, **begun}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        )

    # Gemini

    def _gemini(self, path: str, request: dict[str, Any]) -> None:
        model = path.rpartition("/")[2].partition(":")[0]
        number, call = self.server.sell(model)
        text = json.dumps(request)
        part: dict[str, Any] = {"text": f"{ANSWER}-{number}"}
        if request.get("tools") and "functionResponse" not in text and "function_response" not in text:
            declared = request["tools"][0].get("functionDeclarations") or request["tools"][0]["function_declarations"]
            part = {"functionCall": {"name": declared[0]["name"], "args": ARGUMENTS}}
        reasoning = 31
        usage = {
            "promptTokenCount": call.tokens_in,
            "cachedContentTokenCount": call.cached,
            # What it thinks is not in what it says.
            "candidatesTokenCount": call.tokens_out - reasoning,
            "thoughtsTokenCount": reasoning,
            "totalTokenCount": call.tokens_in + call.tokens_out,
        }
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        answer = {
            "candidates": [candidate],
            "modelVersion": model,
            "responseId": f"resp-{number}",
            "usageMetadata": usage,
        }
        if path.endswith(":streamGenerateContent"):
            self._send_events([answer])
        else:
            self._send_json(answer)

    # Bedrock

    def _converse(self, path: str, request: dict[str, Any]) -> None:
        number, call = self.server.sell(path.split("/")[2].replace("%3A", ":"))
        usage = {
            "inputTokens": call.tokens_in - call.cached,
            "outputTokens": call.tokens_out,
            "totalTokens": call.tokens_in + call.tokens_out,
            "cacheReadInputTokens": call.cached,
            "cacheWriteInputTokens": 0,
        }
        content: dict[str, Any] = {"text": f"{ANSWER}-{number}"}
        if request.get("toolConfig") and "toolResult" not in json.dumps(request["messages"]):
            name = request["toolConfig"]["tools"][0]["toolSpec"]["name"]
            content = {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": ARGUMENTS}}
        reason = "tool_use" if "toolUse" in content else "end_turn"
        if path.endswith("/converse"):
            message = {"message": {"role": "assistant", "content": [content]}}
            self._send_json({"output": message, "stopReason": reason, "usage": usage, "metrics": {"latencyMs": 12}})
            return
        events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        events += [("contentBlockDelta", {"delta": {"text": content.get("text", "")}, "contentBlockIndex": 0})]
        events += [("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": reason})]
        events += [("metadata", {"usage": usage, "metrics": {"latencyMs": 12}})]
        self._send(b"".join(_frame(kind, value) for kind, value in events), "application/vnd.amazon.eventstream")

    # How it answers

    def _send_json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send_events(self, events: list[dict[str, Any]], last: str | None = None) -> None:
        lines = [json.dumps(event) for event in events] + ([last] if last else [])
        self._send("".join(f"data: {line}\n\n" for line in lines).encode(), "text/event-stream")

    def _send_named_events(self, *events: dict[str, Any]) -> None:
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        self._send("".join(lines).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chunks(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return b""

        def chunks() -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        return b"".join(chunks())


def _frame(kind: str, value: dict[str, Any]) -> bytes:
    """A message of https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html."""
    headers = b""
    for name, text in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
    payload = json.dumps(value).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))
