# SPDX-License-Identifier: Apache-2.0
"""A row of a data set that is kept, and what can be said of many: where they are from, of which shape they are."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

_TYPES: Final = ((bool, "boolean"), (int, "integer"), (float, "float"), (str, "string"), (Mapping, "object"))


class DatasetRecord(dict[str, Any]):
    """A row: a dict with `id`, `inputs` and what else is known, whose entries are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        if name in ("inputs", "outputs", "expectations", "tags", "group", "conversation", "source"):
            return self.get(name)
        raise AttributeError(f"a row has no {name!r}; it has: {', '.join(self)}")

    @property
    def dataset_record_id(self) -> str:
        """Its key, by which it is taken away."""
        return str(self["id"])

    @property
    def source_type(self) -> str:
        """Where it is from: `TRACE`, what its own `source` says, else `HUMAN` if somebody said what to expect."""
        source = self.source
        if isinstance(source, Mapping):
            return str(source.get("source_type") or "UNSPECIFIED")
        if source:
            return "TRACE"
        return "HUMAN" if self.expectations else "CODE"

    @property
    def source_id(self) -> str | None:
        """The id of the trace, or of what else it is from."""
        source = self.source
        if not isinstance(source, Mapping):
            return source or None
        data = source.get("source_data")
        known = data if isinstance(data, Mapping) else {}
        found = known.get("source_id") or known.get("trace_id") or known.get("doc_id")
        return None if found is None else str(found)

    def cells(self) -> dict[str, Any]:
        """What a table has of it."""
        return {**self, "source_type": self.source_type, "source_id": self.source_id}


def schema_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """The fields of rows and their types, as a JSON text of the form that MLflow's has."""
    found: dict[str, dict[str, str]] = {"inputs": {}, "outputs": {}, "expectations": {}}
    for row in rows:
        for place, types in found.items():
            values = row.get(place)
            for key, value in values.items() if isinstance(values, Mapping) else ():
                types.setdefault(key, _type_of(value))
    return json.dumps({**found, "version": "1.0"})


def _type_of(value: Any) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "null" if value is None else "array")
