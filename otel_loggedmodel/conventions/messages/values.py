# SPDX-License-Identifier: Apache-2.0
"""Values of attributes, whichever way they come.

The SDK for Python has maps, lists and bytes since its release 1.45; before that, and in stores whose attributes are
texts, the same are JSON. A text may also have been cut off where the SDK's `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` is set.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages.mending import mended

# Deeper than any message; what is written with indents takes several frames of Python's stack for each level.
_DEEPEST: Final = 100


def parsed(value: Any) -> Any:
    """A list or a map from its JSON, else the value itself; only with types that JSON has."""
    found, _ = parsed_as_far(value, mend=False)
    return found


def parsed_as_far(value: Any, *, mend: bool = True) -> tuple[Any, bool]:
    """The same. A text that was cut off is read as far as it goes.

    Returns:
        The value, and whether it was cut off.
    """
    if value is None:
        return None, False
    if not isinstance(value, str):
        return _plain(value), False
    text = value.lstrip()
    if text[:1] not in ("[", "{", '"'):
        return value, False
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = mended(text) if mend and text[0] != '"' else None
        return (value, False) if found is None or _is_too_deep(found) else (found, True)
    if isinstance(found, str):
        # JSON in JSON. A text that is merely in quotes stays as it was said.
        return parsed_as_far(found, mend=mend) if found.strip()[:1] in ("[", "{") else (value, False)
    return (value, False) if _is_too_deep(found) else (found, False)


def whole_json(value: Any) -> Any:
    """A value that is always written as JSON, so that even a text stands in quotes. What is no JSON stays as it is."""
    if not isinstance(value, str):
        return _plain(value)
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return value if _is_too_deep(found) else found


def pretty(value: Any) -> str:
    """A value as a text: what is no text is JSON, with indents."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_plain(value), ensure_ascii=False, indent=2, default=str)
    except (ValueError, RecursionError):
        return "(cannot be shown)"


def listed(value: Any) -> list[Any]:
    """A list; empty if the value is no list."""
    return list(value) if isinstance(value, list | tuple) else []


def first_of(attributes: Mapping[str, Any], *keys: str) -> Any:
    """The value of the first of these keys that is there and not empty, or None."""
    return next((value for key in keys if (value := attributes.get(key)) not in (None, "", [], {}, ())), None)


def first_text(attributes: Mapping[str, Any], *keys: str) -> str:
    """The same for values that are texts; empty where none is."""
    return next((value for key in keys if isinstance(value := attributes.get(key), str) and value), "")


def _plain(value: Any) -> Any:
    """A value of the SDK as JSON has it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if not isinstance(value, Mapping | list | tuple):
        return value
    if _is_too_deep(value):
        return "(nested too deeply to be shown)"
    return _copied(value)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, Mapping | list | tuple) else []
    for _ in range(_DEEPEST):
        members = [inner for one in level for inner in (one.values() if isinstance(one, Mapping) else one)]
        level = [inner for inner in members if isinstance(inner, Mapping | list | tuple)]
        if not level:
            return False
    return True
