# SPDX-License-Identifier: Apache-2.0
"""The text of a list or a map, letter for letter as the Collector's exporters write it.

That is what `Value.AsString` of pdata makes: JSON as Go's `encoding/json` has it, without its escapes for HTML. So a
query finds the same, whichever way a span came.
"""

import base64
import math
from json.encoder import encode_basestring
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

# Numbers have an exponent from the first on, and below the second, as in ECMAScript:
# https://pkg.go.dev/encoding/json#Marshal
_FIRST_WITH_EXPONENT: Final = 1e21
_LAST_WITHOUT_EXPONENT: Final = 1e-6


class _NoJsonError(Exception):
    """There is a number in it that JSON does not have."""


def text_of(value: AnyValue) -> str:
    """The text of a value that is a list or a map; empty if one of its numbers is not finite, as in Go."""
    try:
        return _json(value)
    except _NoJsonError:
        return ""


def _json(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return _quote(value.string_value)
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return _number(value.double_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "array_value":
            return f"[{','.join(map(_json, value.array_value.values))}]"
        case "kvlist_value":
            # Of a key that is there twice, the last counts.
            members = {pair.key: pair.value for pair in value.kvlist_value.values}
            return "{" + ",".join(f"{_quote(key)}:{_json(members[key])}" for key in sorted(members)) + "}"
        case "bytes_value":
            return f'"{base64.b64encode(value.bytes_value).decode()}"'
        case _:
            return "null"


def _quote(text: str) -> str:
    # Valid JSON, but Go escapes them for the sake of JavaScript.
    return encode_basestring(text).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _number(number: float) -> str:
    if not math.isfinite(number):
        raise _NoJsonError
    size = abs(number)
    if number == 0 or size >= _FIRST_WITH_EXPONENT or size < _LAST_WITHOUT_EXPONENT:
        # Python writes two digits of an exponent at least: 1e-07.
        return repr(number).removesuffix(".0").replace("e-0", "e-")
    return _without_exponent(number)


def _without_exponent(number: float) -> str:
    mantissa, e, exponent = repr(number).partition("e")
    if not e:
        return mantissa.removesuffix(".0")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent)
    if shift < 0:
        return sign + "0." + "0" * (-shift - 1) + whole + fraction
    return sign + whole + fraction.ljust(shift, "0")
