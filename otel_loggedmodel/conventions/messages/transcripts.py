# SPDX-License-Identifier: Apache-2.0
"""What was said in a conversation, as messages with `role` and `content`, made of inputs and outputs of its turns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.conventions.messages import exchanges
from otel_loggedmodel.conventions.messages.message import Message

Said = dict[str, Any]

# Where functions take the conversation so far: as OpenAI's chat completions and Responses call it.
MESSAGES: Final = "messages"
INPUT: Final = "input"
_ANSWERING: Final = ("assistant", "ai", "model", "tool", "function")
_MOST_MESSAGES: Final = 1000


def is_said(value: Any) -> bool:
    """Whether a value is a message: a dict with a role."""
    return isinstance(value, Mapping) and isinstance(value.get("role"), str)


def is_answer(message: Mapping[str, Any]) -> bool:
    """Whether a message is the application's, or of a tool of it, and not a person's."""
    return str(message["role"]).lower() in _ANSWERING


def transcript(turns: Iterable[tuple[Any, Any]]) -> list[Said]:
    """The messages of a conversation. What a turn's inputs repeat of the turns before is there once.

    Args:
        turns: Inputs and outputs of each turn, in order.
    """
    found: list[Said] = []
    for inputs, outputs in turns:
        found += asked(inputs)
        if outputs is not None:
            found.append({"role": "assistant", "content": answer(outputs)})
    return found[:_MOST_MESSAGES]


def asked(inputs: Any) -> list[Said]:
    """What is new in the inputs of a turn: the messages after the last answer, or else the inputs as the user's."""
    try:
        messages = [] if isinstance(inputs, Mapping) and not _may_have_messages(inputs) else exchanges.asked(inputs)
    except Exception:  # an input may refuse to be looked at
        messages = []
    if not messages:
        return [] if inputs is None else [{"role": "user", "content": _text(_only(inputs))}]
    said = [_said(message) for message in messages]
    last = max((place for place, one in enumerate(said) if is_answer(one)), default=-1)
    return said[last + 1 :] or said[-1:]


def answer(outputs: Any) -> str:
    """The text of an answer: of a provider's response, of the last message, of a dict's only entry, or its JSON."""
    try:
        return _answer(outputs)
    except Exception:  # an output may refuse to be looked at
        return _plain(outputs)


def _answer(outputs: Any) -> str:
    dump = getattr(outputs, "model_dump", None)
    if callable(dump):  # a response as the providers' clients have it
        outputs = dump()
    if isinstance(outputs, Mapping) and isinstance(outputs.get(MESSAGES), Sequence):
        outputs = outputs[MESSAGES]
    if isinstance(outputs, Mapping | list):
        texts = [text for message in exchanges.answered(outputs) if (text := _said(message)["content"])]
        if texts:
            return str(texts[-1])
    return _text(_only(outputs))


def _may_have_messages(inputs: Mapping[str, Any]) -> bool:
    # A text under one of these names is no list of messages, but a question.
    return any(isinstance(inputs.get(key), list | tuple | Mapping) for key in (MESSAGES, INPUT, "contents"))


def _said(message: Message) -> Said:
    texts = [part.text for part in message.parts if part.kind == "text"]
    others = [f"[{part.kind}{f' {part.name}' if part.name else ''}]" for part in message.parts if part.kind != "text"]
    return {"role": message.role, "content": "\n".join(texts or others)}


def _only(value: Any) -> Any:
    return next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return _plain(value)


def _plain(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__qualname__}, whose text cannot be had>"
