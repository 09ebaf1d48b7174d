# SPDX-License-Identifier: Apache-2.0
"""The text of any value. Values and exceptions of an application may refuse to have one, which must not fail a row."""


def text_of_any(value: object) -> str:
    """`str(value)`; if that raises, the name of its class and why it has no text."""
    try:
        return str(value)
    except Exception as error:
        kind = type(value)
        return f"<{kind.__module__}.{kind.__qualname__}, whose text cannot be had: {type(error).__name__}>"


def text_of_error(error: BaseException) -> str:
    """An exception as its class and what it says."""
    return f"{type(error).__name__}: {text_of_any(error)}"
