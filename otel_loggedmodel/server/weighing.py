# SPDX-License-Identifier: Apache-2.0
"""How much memory it takes to store a request.

A request is small beside what becomes of it. Its resource and its scope are there once, and are stored with each of
their spans: 1 MiB of them and 1,000 spans, compressed to a few kilobytes, are 1 GiB. Every span is a row of forty
columns, and every attribute, event and link an element of ten.
"""

from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

# Measured as the growth of the whole process while it decoded, checked and stored a request of many equal parts:
# 450,000 spans with nothing but ids 448 MiB, 2,500,000 attributes with a key of their own each 640 MiB, 60 MB of texts
# 286 MiB, a resource of 1 MiB with 2,500 spans 2,513 MiB.
_BYTES_FOR_A_SPAN: Final = 900
_BYTES_FOR_A_PART: Final = 280
_TIMES_ITS_SIZE: Final = 5
_MIB: Final = 1024 * 1024


@dataclass
class Weight:
    """What a request consists of. Its parts are added up as they are looked at.

    Attributes:
        size: The size of its serialization, in bytes.
        spans: How many are in it.
        parts: How many attributes, events and links its spans have.
        repeated: The bytes of each resource and scope times the spans that these are stored with.
        plural: What messages call the spans; log records are weighed, too.
    """

    size: int = 0
    spans: int = 0
    parts: int = 0
    repeated: int = 0
    plural: str = "spans"

    @property
    def memory(self) -> int:
        """The bytes of memory that storing it takes, estimated from above."""
        own = self.size * _TIMES_ITS_SIZE + self.spans * _BYTES_FOR_A_SPAN + self.parts * _BYTES_FOR_A_PART
        return own + self.repeated

    def complaint(self, limit: int) -> str:
        """What to say where that is more than a limit, in bytes."""
        text = (
            f"storing this request takes about {self.memory // _MIB} MiB of memory, and a request may take"
            f" {limit // _MIB} MiB"
        )
        if self.repeated * 2 > self.memory:
            return (
                f"{text}: its resource and scope are stored with each of its {self.spans} {self.plural}. Send fewer"
                f" {self.plural} at a time, or shorter attributes of the resource"
            )
        return (
            f"{text}: it has {self.spans} {self.plural} with {self.parts} attributes, events and links. Send fewer at a"
            " time"
        )


def parts_of(span: Span) -> int:
    """How many attributes, events and links a span has."""
    parts = len(span.attributes) + len(span.events) + len(span.links)
    parts += sum(len(event.attributes) for event in span.events)
    return parts + sum(len(link.attributes) for link in span.links)
