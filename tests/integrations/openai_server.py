# SPDX-License-Identifier: Apache-2.0
"""A local server that speaks OpenAI's protocol, as far as its official client needs it here.

Chat completions, plain, streamed and with tool calls, embeddings, and errors
(https://platform.openai.com/docs/api-reference/chat, https://platform.openai.com/docs/api-reference/embeddings).
What it says is fixed, so that tests can assert it.
"""

import base64
import itertools
import json
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

ANSWER: Final = ("The ", "answer ", "is ", "42.")
PROMPT_TOKENS: Final = 17
CACHED_TOKENS: Final = 11
COMPLETION_TOKENS: Final = 5
EMBEDDING_TOKENS: Final = 8
EMBEDDING: Final = (0.25, -0.5, 1.0)
# What a tool that is offered is called with.
TOOL_ARGUMENTS: Final = '{"city": "Bremen"}'
_CALL_ID: Final = "call_1"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class OpenAIRequest:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class OpenAIServer:
    """A server on a free port of the loopback interface, in threads of its own, until it is closed.

    A chat that offers tools is answered with a call of the first one, until the chat has a tool's result in it.

    Attributes:
        fail_with: The HTTP status with which to refuse every request; None to answer them.
        requests: What came in, in order.
    """

    def __init__(self) -> None:
        self.fail_with: int | None = None
        self.requests: list[OpenAIRequest] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def base_url(self) -> str:
        """What belongs into OPENAI_BASE_URL, or into `OpenAI(base_url=...)`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "OpenAIServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many clients connect at the same moment

    def __init__(self, owner: OpenAIServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner = self.server.owner
        owner.requests.append(OpenAIRequest(self.path, headers, body))
        if owner.fail_with is not None:
            self._answer(owner.fail_with, _error(owner.fail_with))
        elif self.path == "/v1/embeddings":
            self._answer(200, _embeddings(body))
        elif self.path != "/v1/chat/completions":
            self._answer(404, _error(404))
        elif body.get("stream"):
            self._stream(_chunks(body))
        else:
            self._answer(200, _completion(body))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests look at `requests`."""

    def _answer(self, status: int, body: object) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _stream(self, chunks: Iterator[object]) -> None:
        """Server-sent events, each written by itself; the connection's end ends them."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")


def _usage() -> dict[str, Any]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    }


def _called_tool(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The call of the tool that is offered, unless it was called already."""
    if not body.get("tools") or body["messages"][-1]["role"] == "tool":
        return None
    name = body["tools"][0]["function"]["name"]
    return {"id": _CALL_ID, "type": "function", "function": {"name": name, "arguments": TOOL_ARGUMENTS}}


def _next_id() -> str:
    """Each answer has an id of its own, by which it is counted once."""
    return f"chatcmpl-{next(_numbers)}"


def _completion(body: Mapping[str, Any]) -> dict[str, Any]:
    call = _called_tool(body)
    message: dict[str, Any] = {"role": "assistant", "content": None if call else "".join(ANSWER)}
    if call:
        message["tool_calls"] = [call]
    return {
        "id": _next_id(),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}],
        "usage": _usage(),
    }


def _chunks(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    call = _called_tool(body)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"tool_calls": [{"index": 0, **call}]}] if call else [{"content": part} for part in ANSWER]
    head = {
        "id": _next_id(),
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": body["model"],
    }
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None}
    reason = "tool_calls" if call else "stop"
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": None}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage()}


def _embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    # The client asks for base64 unless its caller says otherwise.
    packed = base64.b64encode(struct.pack(f"<{len(EMBEDDING)}f", *EMBEDDING)).decode()
    embedding = packed if body.get("encoding_format") == "base64" else list(EMBEDDING)
    return {
        "object": "list",
        "model": body["model"],
        "data": [{"object": "embedding", "index": index, "embedding": embedding} for index in range(len(inputs))],
        "usage": {"prompt_tokens": EMBEDDING_TOKENS, "total_tokens": EMBEDDING_TOKENS},
    }


def _error(status: int) -> dict[str, Any]:
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    return {"error": {"message": f"planted {status}", "type": kind, "param": None, "code": kind}}
