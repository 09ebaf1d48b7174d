# SPDX-License-Identifier: Apache-2.0
"""The id of a version, computed from what the version is, so that every process on every host finds the same one.

`model_id = "m-" + family + revision`: the family stands for an experiment and a name, the revision for everything else
that the version was created with. The 32 hex digits are as long as an OpenTelemetry trace id on purpose: a model's own
trace has them as its id (see `records`).
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping

from otel_loggedmodel._checking import has_id_shape

_ZERO_REVISION = "0" * 16


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
    content = {"model_type": model_type, "params": params, "source_run_id": source_run_id, "tags": tags}
    return f"m-{_family_of(experiment_id, name)}{_revision_of(content)}"


def reference_to(experiment_id: str, name: str) -> str:
    """The id with the zero revision: a reference by name, which readers resolve to the newest version of that name."""
    return f"m-{_family_of(experiment_id, name)}{_ZERO_REVISION}"


def is_reference(model_id: str) -> bool:
    """Whether an id is a reference by name, that is, has the zero revision."""
    return has_id_shape(model_id) and model_id.endswith(_ZERO_REVISION)


def trace_id_of(model_id: str) -> int:
    """The 128-bit id of a model's own trace: the digits of its id, or of a digest where the id has another shape."""
    if has_id_shape(model_id):
        return int(model_id[2:], 16)
    return int.from_bytes(hashlib.sha256(model_id.encode()).digest()[:16], "big")


def root_span_id_of(model_id: str) -> int:
    """The 64-bit id of the root span of a model's trace: every process's copy of it is the same span."""
    return int.from_bytes(hashlib.sha256(b"span:" + model_id.encode()).digest()[:8], "big")


def unknown_span_id_of(trace_id: int) -> int:
    """The id of a span that is not there: the parent of what is said of a trace as a whole.

    Without any parent, backends would take such a span for the root of its trace.
    """
    return span_id_from(f"judged:{trace_id:032x}")


def span_id_from(text: str) -> int:
    """An id for a span that is to be the same whenever it is made of the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") or 1


def random_span_id() -> int:
    """An id for a span that nobody else makes."""
    # Not from `random`, whose state an application may seed and a fork may copy.
    return int.from_bytes(os.urandom(8), "big") or 1


@functools.lru_cache(maxsize=1024)
def _family_of(experiment_id: str, name: str) -> str:
    return _digest([experiment_id, name])


def _revision_of(content: Mapping[str, object]) -> str:
    present = {key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items() if value}
    return _digest(present) if present else _ZERO_REVISION


def _digest(value: object) -> str:
    canonical = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
