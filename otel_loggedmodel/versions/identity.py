# SPDX-License-Identifier: Apache-2.0
"""The id of a version. It is computed from what the version is, so that every process on every host finds the same one.

`model_id = "m-" + family + revision`. The family stands for an experiment and a name, so the versions of one name begin
alike. The revision stands for the experiment, the name and everything else that the version was created with. The 32
hex digits are as long as an OpenTelemetry trace id on purpose: a model's own trace has them as its id (see `records`).

The revision is the low half of that trace id, and backends rely on its being random. W3C Trace Context level 2 and
OpenTelemetry's consistent sampling read 56 bits of it. Zipkin's in-memory search groups traces by it. Datadog's agent
drops a trace if it is zero. So the revision is a digest in every id, and different versions have different ones.
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Final

from otel_loggedmodel._checking import has_id_shape

_FAMILY_END: Final = 18  # "m-" and 16 digits


def model_id_of(
    experiment_id: str,
    name: str,
    *,
    model_type: str | None = None,
    params: Mapping[str, str] | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """The id of the version that was created with these arguments: 34 characters, the same on every machine."""
    given = {"model_type": model_type, "params": params, "source_run_id": source_run_id, "tags": tags}
    content = {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items() if value}
    return f"m-{_family_of(experiment_id, name)}{_digest([experiment_id, name, content])}"


def reference_to(experiment_id: str, name: str) -> str:
    """The reference by name: an id that readers resolve to the newest version of that name.

    It is an id of its own, different from that of a version which has a name and nothing else.
    """
    family = _family_of(experiment_id, name)
    return f"m-{family}{_reference_digits(family)}"


def is_reference(model_id: str) -> bool:
    """Whether an id is a reference by name. The id alone tells, as its second half follows from its first."""
    return has_id_shape(model_id) and model_id[_FAMILY_END:] == _reference_digits(model_id[2:_FAMILY_END])


def trace_id_of(model_id: str) -> int:
    """The 128-bit id of a model's own trace: the digits of its id.

    If the id has another shape, those of a digest of it.
    """
    if has_id_shape(model_id):
        return int(model_id[2:], 16)
    return int.from_bytes(hashlib.sha256(model_id.encode()).digest()[:16], "big")


def root_span_id_of(model_id: str) -> int:
    """The 64-bit id of the root span of a model's trace. The copies of all processes are the same span."""
    return int.from_bytes(hashlib.sha256(b"span:" + model_id.encode()).digest()[:8], "big")


def unknown_span_id_of(trace_id: int) -> int:
    """The id of a span that does not exist. It is the parent of what is said of a trace as a whole.

    Without a parent, backends would take such a span for the root of its trace.
    """
    return span_id_from(f"judged:{trace_id:032x}")


def span_id_from(text: str) -> int:
    """An id for a span that is the same span whenever it is made of the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") or 1


def random_span_id() -> int:
    """A new id for a span."""
    # Not from `random`: an application may seed its state, and a fork copies it.
    return int.from_bytes(os.urandom(8), "big") or 1


@functools.lru_cache(maxsize=1024)
def _family_of(experiment_id: str, name: str) -> str:
    return _digest([experiment_id, name])


@functools.lru_cache(maxsize=1024)
def _reference_digits(family: str) -> str:
    return hashlib.sha256(f"reference:{family}".encode()).hexdigest()[:16]


def _digest(value: object) -> str:
    canonical = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
