# SPDX-License-Identifier: Apache-2.0
"""Records that are due, in messages that receivers take, and a warning of texts that are longer than they should be."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.versions.model import ModelEvent

# Receivers of OTLP over gRPC refuse messages of more than 4 MiB unless told otherwise. Batches stay well below that.
_MAX_BATCH_BYTES: Final = 2 * 1024 * 1024
_MAX_BATCH_RECORDS: Final = 512
_MAX_BYTES_WITH_SPANS: Final = 64 * 1024
_MAX_RECORDS_WITH_SPANS: Final = 64
# The most that any of the common backends with a limit keeps of a value: Jaeger with its own storage, badger.
_MOST_KEPT_BYTES: Final = 62_000


@dataclasses.dataclass(frozen=True)
class Due:
    """Records to deliver.

    Attributes:
        spans: The records, repetitions first, as models come before what happened to them.
        sizes: About how many bytes each span takes.
        announced: The models that a backend then knows all about, and since when.
        activated: The models that a backend then knows this process to run.
        up_to: The sequence number up to which nothing is left to be done then.
    """

    spans: list[ReadableSpan]
    sizes: list[int]
    announced: dict[str, float]
    activated: list[str]
    up_to: int

    @property
    def is_small(self) -> bool:
        """Whether it is so small that a request of spans does not become too large by it."""
        return len(self.sizes) <= _MAX_RECORDS_WITH_SPANS and sum(self.sizes) <= _MAX_BYTES_WITH_SPANS

    def batches(self) -> Iterator[list[ReadableSpan]]:
        """The records in messages that are small enough for receivers."""
        batch: list[ReadableSpan] = []
        size_of_batch = 0
        for span, size in zip(self.spans, self.sizes, strict=True):
            if batch and (size_of_batch + size > _MAX_BATCH_BYTES or len(batch) >= _MAX_BATCH_RECORDS):
                yield batch
                batch, size_of_batch = [], 0
            batch.append(span)
            size_of_batch += size
        if batch:
            yield batch


def warn_of_long_values(event: ModelEvent) -> None:
    """Say once in a process that it has texts which common backends do not keep in one value."""
    if event.size * 4 <= _MOST_KEPT_BYTES:  # a character takes up to four bytes
        return
    for key, value in (*event.params.items(), *event.tags.items()):
        size = len(value.encode(errors="replace"))
        if size > _MOST_KEPT_BYTES:
            warn_once(
                "long value",
                '"%s" of %s has %s bytes, more than common backends keep of a value: it travels in pieces, which this '
                "library puts together again, and viewers of traces show its beginning; keep such texts in a file or "
                "object store, and pass their address or digest",
                key,
                event.model_id,
                f"{size:,}",
            )
            return
