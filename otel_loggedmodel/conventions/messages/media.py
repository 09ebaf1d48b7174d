# SPDX-License-Identifier: Apache-2.0
"""Pictures, sounds, films and files in a message: carried along in base64, or named by an address or an id.

The conventions have three parts for them (`blob`, `uri`, `file`); each provider has its own, mostly a map in a map.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import values
from otel_loggedmodel.conventions.messages.message import Media

_KINDS: Final = ("image", "audio", "video", "document")
_TYPES: Final = frozenset(
    {
        *("blob", "uri", "file", "media", "binary", *_KINDS),
        *("image_url", "image-url", "input_image", "input_audio", "input_file", "input_video", "video_url"),
        *("audio-url", "video-url", "document-url", "audio_url", "file_url"),
    }
)
# Maps in a part that hold the rest of it.
_HOLDERS: Final = (
    *("image_url", "input_audio", "video_url", "file_url", "file", "source", "media", *_KINDS),
    *("inline_data", "inlineData", "file_data", "fileData", "s3Location"),
)
_DATA: Final = ("data", "bytes", "base64", "file_data")
_ADDRESS: Final = ("uri", "url", "file_uri", "fileUri", "image_url", "file_url", "image", "video", "audio", "document")
_MIME: Final = ("mime_type", "mimeType", "media_type", "mediaType", "contentType", "content_type")
_DATA_ADDRESS: Final = re.compile(r"data:([^;,]{0,200})(?:;[^,;]{0,200})*?(;base64)?,", re.IGNORECASE)
# Some put a picture itself where others have an address. It begins like this.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{60}")
_SHORTEST_PICTURE: Final = 60
_DEEPEST: Final = 4


def is_media(part: Mapping[str, Any]) -> bool:
    """Whether a part without a type is one of these."""
    return any(isinstance(part.get(key), Mapping) for key in _HOLDERS)


def media_of(part: Mapping[str, Any]) -> Media | None:
    """What a part carries or points to; None where it is another kind of part."""
    kind = part.get("type")
    is_typed = isinstance(kind, str)
    if (kind not in _TYPES) if is_typed else not is_media(part):
        return None
    fields = _flat(part, 0)
    if fields.get("type") == "text":
        return None
    data = values.first_text(fields, *_DATA)
    if not data and kind in ("blob", "binary", "media", "file"):
        data = values.first_text(fields, "content")
    address = values.first_text(fields, *_ADDRESS)
    if data.startswith(("http://", "https://", "data:")):
        data, address = "", data
    mime_type = values.first_text(fields, *_MIME)
    if address.startswith("data:"):
        match = _DATA_ADDRESS.match(address)
        if match is None or not match[2]:
            return None
        mime_type, data, address = match[1] or mime_type, address[match.end() :], ""
    elif not data and kind != "uri" and len(address) >= _SHORTEST_PICTURE and _BASE64.match(address):
        # A picture itself, without anything that says so.
        data, address = address, ""
    file_id = values.first_text(fields, "file_id", "fileId")
    if not (data or address or file_id):
        return None
    found = values.first_text(fields, "format")
    if not mime_type and found:
        mime_type = found if "/" in found else f"{_main_type(part)}/{found}"
    return Media(
        mime_type=mime_type[:200],
        data=data,
        uri=address,
        file_id=file_id,
        name=values.first_text(fields, "filename", "name", "title")[:200],
    )


def kind_of(part: Mapping[str, Any], found: Media) -> str:
    """What to call such a part: `image`, `audio`, `video` or `file`."""
    modality = part.get("modality")
    if isinstance(modality, str) and modality:
        return modality[:40]
    main_type = found.mime_type.partition("/")[0].lower()
    if main_type in _KINDS:
        return main_type
    named = _main_type(part)
    return "file" if named in ("application", "document") else named


def _main_type(part: Mapping[str, Any]) -> str:
    """The first half of a MIME type, by what a part is called."""
    names = " ".join((str(part.get("type", "")), *part.keys()))
    kind = next((kind for kind in _KINDS if kind in names), "document")
    return "application" if kind == "document" else kind


def _flat(part: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The fields of a part and of the maps in it, the innermost first."""
    fields: dict[str, Any] = {}
    for key in _HOLDERS:
        inner = part.get(key)
        if isinstance(inner, Mapping) and depth < _DEEPEST:
            for name, value in _flat(inner, depth + 1).items():
                fields.setdefault(name, value)
    for key, value in part.items():
        if isinstance(value, str):
            fields.setdefault(key, value)
    return fields
