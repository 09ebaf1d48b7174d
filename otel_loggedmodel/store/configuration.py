# SPDX-License-Identifier: Apache-2.0
"""What versions are made of, as far as that differs."""

from collections.abc import Sequence

from otel_loggedmodel.store.results import ConfigurationDifference
from otel_loggedmodel.versions.model import LoggedModel


def differences(models: Sequence[LoggedModel | None]) -> tuple[ConfigurationDifference, ...]:
    """What is not the same for all; params first, then tags, then the rest."""
    parts: list[tuple[str, str, list[str | None]]] = []
    for kind, mappings in (
        ("param", [{} if model is None else model.params for model in models]),
        ("tag", [{} if model is None else model.tags for model in models]),
    ):
        keys = sorted({key for mapping in mappings for key in mapping})
        parts.extend((kind, key, [mapping.get(key) for mapping in mappings]) for key in keys)
    for key in ("model_type", "source_run_id", "status", "experiment_id"):
        values = [None if model is None else getattr(model, key) for model in models]
        parts.append(("field", key, [None if value is None else str(value) for value in values]))
    return tuple(
        ConfigurationDifference(kind=kind, key=key, values=tuple(values))
        for kind, key, values in parts
        if len(set(values)) > 1
    )
