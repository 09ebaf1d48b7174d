# SPDX-License-Identifier: Apache-2.0
"""Values as tables keep them, as Python's own: arrays become lists, and what is missing becomes None.

pandas gives an array where a column holds lists, and has NaN, NaT and NA for what is missing. Neither pandas nor NumPy
is imported here: their values are known by where their class comes from.
"""

import numbers
from collections.abc import Mapping
from datetime import date
from typing import Any

_TABLES = ("numpy", "pandas", "polars", "pyarrow")


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, NaT or NA. An array of such values is an array."""
    if value is None:
        return True
    if isinstance(value, str | bytes | bool | int | list | dict):
        return False
    kind = type(value)
    if kind.__name__ in ("NAType", "NullScalar"):
        return True
    if isinstance(value, numbers.Number | date) or kind.__module__.partition(".")[0] in _TABLES:
        try:
            # These are the only values that differ from themselves. An array answers with an array.
            differs = value != value  # noqa: PLR0124
        except Exception:
            return False
        return type(differs).__name__ in ("bool", "bool_") and bool(differs)
    return False


def plain_cell(value: Any) -> Any:
    """A cell of a table as Python's own value, and what is inside it likewise.

    Texts, bytes, times and objects of the user's stay as they are.
    """
    if is_missing(value):
        return None
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key: plain_cell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain_cell(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    kind = type(value)
    if kind.__module__.partition(".")[0] == "numpy":
        if kind.__name__ == "datetime64":
            return value.astype("datetime64[us]").item()  # of nanoseconds, it would be a number
        if hasattr(value, "tolist"):
            return plain_cell(value.tolist())
    return value
