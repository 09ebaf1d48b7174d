# SPDX-License-Identifier: Apache-2.0
"""Every kind of part, as the conventions' schema and the providers write it."""

import json
from typing import Any

import pytest

from otel_loggedmodel.conventions.messages import Media, Part, messages_of

PIXEL = "iVBORw0KGgo="  # the eight bytes that a PNG begins with


def part_of(part: Any) -> Part:
    """A part of the only message of a span."""
    (message,) = messages_of({"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [part]}])})
    (found,) = message.parts
    return found


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "content": "Hello"}, Part("text", "Hello")),
        ({"type": "reasoning", "content": "Let me see."}, Part("reasoning", "Let me see.")),
        (
            {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}},
            Part("tool call", '{\n  "a": 1\n}', "f"),
        ),
        ({"type": "tool_call_response", "id": "1", "response": "done"}, Part("tool result", "done", "1")),
        (
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": PIXEL},
            Part("image", "", media=Media("image/png", data=PIXEL)),
        ),
        (
            {"type": "uri", "modality": "video", "mime_type": "video/mp4", "uri": "gs://bucket/film.mp4"},
            Part("video", "", media=Media("video/mp4", uri="gs://bucket/film.mp4")),
        ),
        (
            {"type": "file", "modality": "document", "mime_type": "application/pdf", "file_id": "file-7"},
            Part("document", "", media=Media("application/pdf", file_id="file-7")),
        ),
        ({"type": "com.example.thing", "content": "said"}, Part("com.example.thing", "said")),
        (
            {"type": "com.example.thing", "level": 3},
            Part("com.example.thing", '{\n  "type": "com.example.thing",\n  "level": 3\n}'),
        ),
        (
            {"type": "server_tool_call", "id": "1", "name": "search", "server_tool_call": {"q": "rain"}},
            Part("tool call", '{\n  "q": "rain"\n}', "search"),
        ),
    ],
)
def test_the_schemas_parts(part: Any, expected: Part) -> None:
    assert part_of(part) == expected


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}, Media("image/png", data=PIXEL)),
        ({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}, Media(uri="https://a.example/b.png")),
        ({"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}, Media("image/png", data=PIXEL)),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            Media("audio/wav", data="UklGRg=="),
        ),
        ({"type": "file", "file": {"file_id": "f-1", "filename": "a.pdf"}}, Media(file_id="f-1", name="a.pdf")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            Media("image/png", data=PIXEL),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://a.example/b"}}, Media(uri="https://a.example/b")),
        ({"inlineData": {"mimeType": "image/png", "data": PIXEL}}, Media("image/png", data=PIXEL)),
        ({"file_data": {"mime_type": "video/mp4", "file_uri": "gs://a/b"}}, Media("video/mp4", uri="gs://a/b")),
        ({"image": {"format": "png", "source": {"bytes": PIXEL}}}, Media("image/png", data=PIXEL)),
        ({"type": "image", "image": f"data:image/png;base64,{PIXEL}"}, Media("image/png", data=PIXEL)),
        ({"type": "image", "image": "A" * 80, "mediaType": "image/png"}, Media("image/png", data="A" * 80)),
        (
            {"type": "file", "data": "https://a.example/c.pdf", "mediaType": "application/pdf"},
            Media("application/pdf", uri="https://a.example/c.pdf"),
        ),
        (
            {"media": {"url": f"data:image/png;base64,{PIXEL}", "contentType": "image/png"}},
            Media("image/png", data=PIXEL),
        ),
    ],
    ids=[
        *(
            "OpenAI, data",
            "OpenAI, address",
            "Responses",
            "OpenAI, sound",
            "OpenAI, file",
            "Anthropic",
            "Anthropic, address",
        ),
        *(
            "Gemini",
            "Gemini, address",
            "Bedrock",
            "Vercel, data address",
            "Vercel, base64",
            "Vercel, address",
            "Genkit",
        ),
    ],
)
def test_pictures_and_files_of_each_provider(part: Any, media: Media) -> None:
    assert part_of(part).media == media


def test_a_picture_among_what_a_tool_gave() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": [
            {"type": "text", "text": "A cat."},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        ],
    }
    (message,) = messages_of({"gen_ai.input.messages": json.dumps([{"role": "user", "content": [result]}])})
    assert message.parts == (
        Part("tool result", "A cat.", "1"),
        Part("image", "", media=Media("image/png", data=PIXEL)),
    )


def test_the_size_of_what_a_part_carries_is_in_bytes() -> None:
    assert Media(data=PIXEL).size == 8
    assert Media(data="").size is None
    assert Media(data="QUJD").size == 3


def test_a_text_in_json_stays_as_it_was_said() -> None:
    said = '{"name": "Bremen", "n": 7}'
    assert part_of({"type": "text", "content": said}) == Part("text", said)
    assert part_of("[1, 2]") == Part("text", "[1, 2]")


@pytest.mark.parametrize(
    "part", [None, "", {}, [], {"type": "text", "content": ""}, {"type": "text"}, {"type": "reasoning"}]
)
def test_what_says_nothing_is_no_part(part: Any) -> None:
    assert messages_of({"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [part]}])}) == []


def test_hidden_reasoning_is_told_of() -> None:
    assert part_of({"type": "redacted_thinking", "data": "EqQB"}) == Part("reasoning", "(encrypted)")
