# SPDX-License-Identifier: Apache-2.0
"""LiteLLM's span `raw_gen_ai_request`: each field of a provider's request and response as `llm.<provider>.<field>`.

Lists are written as Python writes them, not as JSON. Its other spans have the GenAI conventions' messages.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any, Final

from otel_loggedmodel.conventions.messages import exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_FIELD: Final = re.compile(
    r"llm\.[a-zA-Z0-9_-]{1,60}\."
    r"(messages|contents|input|system|instructions|system_instruction|systemInstruction|choices|content|output|candidates)"
)
_OF_RESPONSE: Final = frozenset({"choices", "content", "output", "candidates"})
# Python's own reader of such texts takes many times as much memory as they do.
_LONGEST: Final = 1_000_000


def _read(said: Said) -> Iterator[Message]:
    found = {match[1]: value for key, value in said.attributes.items() if (match := _FIELD.fullmatch(key)) is not None}
    fields = {key: _literal(value) for key, value in found.items()}
    yield from exchanges.asked({key: value for key, value in fields.items() if key not in _OF_RESPONSE})
    yield from exchanges.answered({key: value for key, value in fields.items() if key in _OF_RESPONSE})


def _literal(value: Any) -> Any:
    parsed = values.parsed(value)
    if not isinstance(parsed, str) or parsed[:1] not in ("[", "{") or len(parsed) > _LONGEST:
        return parsed
    try:
        return ast.literal_eval(parsed)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return parsed


SOURCE: Final = Source(
    name="LiteLLM",
    specification="https://github.com/BerriAI/litellm/blob/main/litellm/integrations/opentelemetry.py",
    since="litellm 1.40; 1.110.2 is recorded",
    read=_read,
)
