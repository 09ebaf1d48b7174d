# SPDX-License-Identifier: Apache-2.0
"""Digests that say whether two things are the same on every machine: rows, data sets, and the code of scorers.

Each is the first 8 bytes of SHA-256, as 16 hex digits.
"""

import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_loggedmodel.genai.texts import text_of_any

DIGITS: Final = 16
_MODULUS: Final = 1 << 256


def digest(value: object) -> str:
    """The digest of a value's canonical JSON: sorted keys, no spaces. What JSON does not have counts by its text."""
    return hashlib.sha256(canonical(value)).hexdigest()[:DIGITS]


def canonical(value: object) -> bytes:
    """Canonical JSON."""
    try:
        text = _CANONICAL.encode(value)
    except TypeError:  # keys of several types cannot be sorted
        text = _CANONICAL.encode(_with_text_keys(value))
    return text.encode(errors="surrogatepass")


def _text_of(value: object) -> object:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return text_of_any(value)


# Made once, as json.dumps makes an encoder for each call.
_CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_text_of)


def _with_text_keys(value: object) -> object:
    if isinstance(value, Mapping):
        return {text_of_any(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else _with_text_keys(_text_of(value))


class DatasetDigest:
    """The digest of a set of rows in any order. It keeps none of them.

    The SHA-256 hashes of all rows are added up: MSet-Add-Hash of Clarke et al., "Incremental Multiset Hash Functions
    and Their Application to Memory Integrity Checking", 2003.
    """

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, key: str, expectations: object) -> None:
        """Add a row, by its key and what is expected of it."""
        row = hashlib.sha256(canonical([key, expectations])).digest()
        self._sum = (self._sum + int.from_bytes(row, "big")) % _MODULUS
        self.rows += 1

    def __str__(self) -> str:
        return digest([self.rows, hex(self._sum)])


def source_of(function: Callable[..., Any] | type) -> str:
    """The code of a function or class, without what changes nothing: indentation of the whole, blank lines, comments.

    If there is no source, its byte code, which differs between versions of Python.
    """
    function = inspect.unwrap(function)
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        if code is None:
            name = getattr(function, "__qualname__", type(function).__qualname__)
            return f"{getattr(function, '__module__', '')}.{name}"
        return repr((code.co_code.hex(), [constant for constant in code.co_consts if not hasattr(constant, "co_code")]))
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def parameters_of(values: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a scorer as values that have a digest. Names that begin with `_` are left out."""
    return {key: _parameter(value) for key, value in values.items() if not key.startswith("_")}


def closure_of(function: Callable[..., Any]) -> dict[str, object]:
    """The values that a function was made with: its defaults and what it closes over."""
    try:
        closed = inspect.getclosurevars(function).nonlocals
    except (TypeError, ValueError):
        closed = {}
    found = {key: _parameter(value) for key, value in closed.items()}
    for attribute in ("__defaults__", "__kwdefaults__"):
        default = getattr(function, attribute, None)
        if default:
            found[attribute] = _parameter(default)
    return found


def _parameter(value: object) -> object:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _parameter(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_parameter(item) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if inspect.isfunction(value) or inspect.ismethod(value) or inspect.isclass(value):
        return digest(source_of(value))
    # The text of anything else may contain an address, which differs in each process.
    return f"{type(value).__module__}.{type(value).__qualname__}"
