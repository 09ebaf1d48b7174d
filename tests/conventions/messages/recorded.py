# SPDX-License-Identifier: Apache-2.0
"""Spans of real frameworks, with texts of ours; and messages written short, to be compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.conventions.messages import Message, messages_of

_SPANS: Final = json.loads((Path(__file__).parent / "spans.json").read_text("utf-8"))


@dataclass(frozen=True)
class Event:
    """An event of a span."""

    name: str
    attributes: Mapping[str, Any]


def attributes_of(recording: str, place: int) -> dict[str, Any]:
    """What a recorded span says."""
    return dict(_SPANS[recording][place]["attributes"])


def events_of(recording: str, place: int) -> list[Event]:
    """The events of a recorded span."""
    return [Event(one["name"], one["attributes"]) for one in _SPANS[recording][place].get("events", [])]


def short(messages: Sequence[Message]) -> list[str]:
    """Messages, a line for each part: `user: text`, `assistant > [kind name] text` where the model said it."""
    found = []
    for message in messages:
        sign = " >" if message.is_output else ":"
        for part in message.parts:
            kind = "" if part.kind == "text" else f"[{' '.join(filter(None, (part.kind, part.name)))}] "
            found.append(f"{message.role}{sign} {kind}{' '.join(part.text.split())}".rstrip())
        if not message.parts:
            found.append(f"{message.role}{sign}")
    return found


def said(attributes: Mapping[str, Any], events: Sequence[Event] = ()) -> list[str]:
    """The messages of a span, written short."""
    return short(messages_of(attributes, events))
