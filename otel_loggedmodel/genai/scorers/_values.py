# SPDX-License-Identifier: Apache-2.0
"""What built-in scorers read: a text of outputs, and what is expected of them."""

import json
from collections.abc import Mapping
from typing import Any, Final

EXPECTED: Final = "expected_response"


def text_of(outputs: Any, field: str | None = None) -> str:
    """Outputs, or one field of them, as text. A text stays as it is, and anything else becomes its JSON."""
    if field is not None:
        outputs = outputs[field]
    return outputs if isinstance(outputs, str) else json.dumps(outputs, ensure_ascii=False, default=str)


def expected(expectations: Any, key: str) -> Any:
    """What is expected; None if the row does not say.

    It is under the key. If `expectations` has only one entry, it is that one. If `expectations` is no dict, it is that.

    Raises:
        KeyError: There are several entries, and none of them is the key.
    """
    if not isinstance(expectations, Mapping):
        return expectations
    if key in expectations:
        return expectations[key]
    if not expectations:
        return None
    if len(expectations) == 1:
        return next(iter(expectations.values()))
    raise KeyError(f"expectations has no {key!r}, but {', '.join(map(repr, expectations))}: pass key=...")


def needs(package: str, error: ImportError) -> ImportError:
    """The error for a package that is not installed."""
    return ImportError(f"this scorer needs {package}: pip install 'otel-loggedmodel[evaluation]' ({error})")
