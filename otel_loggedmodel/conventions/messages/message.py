# SPDX-License-Identifier: Apache-2.0
"""What every convention's messages become: who said it, in which parts, and what a part carries that is no text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Media:
    """What a part carries, or points to, that is no text.

    Attributes:
        mime_type: What it says it is, such as `image/png`; empty where it says nothing.
        data: The content in base64; empty where it is elsewhere.
        uri: Where it is; written by whoever sent the span, so nothing may be loaded from there unasked.
        file_id: The id by which a provider knows it.
        name: The file's name.
    """

    mime_type: str = ""
    data: str = field(default="", repr=False)
    uri: str = ""
    file_id: str = ""
    name: str = ""

    @property
    def size(self) -> int | None:
        """Bytes of the content, or None where it is elsewhere."""
        if not self.data:
            return None
        digits = self.data.rstrip("=")
        return len(digits) * 3 // 4


@dataclass(frozen=True)
class Part:
    """A part of a message.

    Attributes:
        kind: `text`, `reasoning`, `tool call`, `tool result`, `image`, `audio`, `video`, `file`, or what else it says
            it is.
        text: What to read.
        name: The tool's name. For a result, which call it belongs to.
        media: What it carries or points to that is no text.
    """

    kind: str
    text: str
    name: str = ""
    media: Media | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.text or self.name or self.media)


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        role: Who says it.
        parts: What is said.
        is_output: Whether the model said it in this call.
        is_cut: Whether what the span says was cut off, so that this message or later ones are not whole.
    """

    role: str
    parts: tuple[Part, ...]
    is_output: bool = False
    is_cut: bool = False

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show."""
        return any(part.says_something for part in self.parts)


class Event(Protocol):
    """An event of a span, stored or of this process."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """What it says."""
        ...


@dataclass(frozen=True)
class Said:
    """What a span says, stored or of this process.

    Attributes:
        attributes: Values as the SDK has them, or as texts, in which lists and maps are JSON.
        events: In their order.
    """

    attributes: Mapping[str, Any]
    events: Sequence[Event] = ()


@dataclass(frozen=True)
class Source:
    """One convention by which spans carry messages.

    Attributes:
        name: The convention's name.
        specification: Where it is described, or the code that writes it.
        since: The first release that writes it so, as far as that is known.
        read: Gives the messages of a span, none where the span does not follow the convention.
        inputs: Attributes whose value is what a step took, as it took it. The first that a span has counts.
        outputs: The same for what it gave.
        is_json: Whether these values are JSON whatever they are, so that a text stands in quotes.
    """

    name: str
    specification: str
    since: str
    read: Callable[[Said], Iterable[Message]]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    is_json: bool = False
