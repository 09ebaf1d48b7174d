# SPDX-License-Identifier: Apache-2.0
"""What a name, an id, params and tags may be, wherever they come from: a caller, the environment, a command line."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

MAX_NAME_CHARACTERS: Final = 256  # names and ids go onto every entry span
MAX_KEY_CHARACTERS: Final = 256
# OTLP receivers over gRPC refuse messages of more than 4 MiB unless told otherwise, and records travel several to a
# message: a quarter of that leaves room, and is far more than a configuration needs.
MAX_MODEL_BYTES: Final = 1024 * 1024

_ID_SHAPE: Final = re.compile(r"m-(?!0{32})[0-9a-f]{32}")


def has_id_shape(text: str) -> bool:
    """Whether a text looks like an id of this library or MLflow: `m-` and 32 lower-case hex digits, not all 0."""
    return _ID_SHAPE.fullmatch(text) is not None


def check_name(name: object, what: str = "name") -> str:
    """The name, if it can be one.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty, too long, surrounded by white space, or has control characters.
    """
    if not isinstance(name, str):
        if hasattr(name, "model_id"):
            raise TypeError(f"{what} is a LoggedModel: pass its id, model_id={name.model_id!r}")
        raise TypeError(f"{what} is {_shown(name)}: pass a string such as 'my-agent-v1.0'")
    if not name or name.isspace():
        raise ValueError(f"{what} is empty: pass a string such as 'my-agent-v1.0'")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(
            f"{what} has {len(name)} characters, the limit is {MAX_NAME_CHARACTERS}: "
            "shorten it, and put the rest into tags"
        )
    if name != name.strip():
        raise ValueError(f"{what} {name!r} begins or ends with white space: pass {name.strip()!r}")
    # Control characters, lone surrogates and line separators; not "format" characters, which emoji are joined with.
    bad = next((character for character in name if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        raise ValueError(f"{what} {name!r} contains the control character {bad!r}: leave it out")
    return name


def check_model_name(name: object) -> str:
    """The name of a model, if it can be one.

    Raises:
        TypeError: It is not a string.
        ValueError: It cannot be a name, or is an id.
    """
    checked = check_name(name)
    if has_id_shape(checked):
        raise ValueError(f"name {checked!r} is an id: pass model_id={checked!r}")
    return checked


def check_texts(values: object, what: str) -> dict[str, str]:
    """A plain copy of params or tags, if they are what the wire can carry: a mapping of strings to strings.

    Raises:
        TypeError: It is not a mapping, or a key or a value is not a string; the message names the key and the fix.
        ValueError: A key is empty or too long, a text is not valid Unicode, or all together are too large.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(f"{what} is {_shown(values)}: pass a dict of strings to strings")
    size = 0
    for key, value in values.items():
        if not isinstance(key, str):
            raise TypeError(f"{what} has a key that is {_shown(key)}: pass {str(key)!r}")
        if not key or len(key) > MAX_KEY_CHARACTERS:
            raise ValueError(f"{what} has a key of {len(key)} characters: keys have 1 to {MAX_KEY_CHARACTERS}")
        if not isinstance(value, str):
            raise TypeError(f'{what}: "{key}" is {_shown(value)}: {_fix_for(value)}')
        try:
            size += len(key.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise ValueError(
                f"{what}: {key!r} holds a lone surrogate, which UTF-8 cannot carry: "
                "decode the text with errors='replace' where it comes from"
            ) from None
    if size > MAX_MODEL_BYTES:
        raise too_large(what, size)
    return dict(values)


def too_large(what: str, size: int) -> ValueError:
    """The error for params and tags that are more than a message can carry."""
    return ValueError(
        f"{what} take {size:,} bytes, the limit is {MAX_MODEL_BYTES:,}: "
        "keep large values in a file or object store, and pass their address or digest"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def _fix_for(value: object) -> str:
    if value is None:
        return "leave the key out, or pass a string"
    if isinstance(value, bool | int | float):
        return f'pass "{value}"'
    return "pass a string, json.dumps(...) of it for instance"


def id_of(text: object, digits: int, what: str) -> int:
    """The number that an id of hex digits is, also with MLflow's `tr-` before it.

    Raises:
        TypeError: It is no text.
        ValueError: It is no such id.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}: pass {digits} hex digits")
    bare = text.removeprefix("tr-")
    try:
        number = int(bare, 16) if len(bare) == digits else 0
    except ValueError:
        number = 0
    if not number:
        raise ValueError(f"{what} is {text!r}: pass {digits} hex digits, not all 0")
    return number
