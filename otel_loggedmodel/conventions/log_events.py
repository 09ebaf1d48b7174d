# SPDX-License-Identifier: Apache-2.0
"""The events that are read from log records, by name. OpenTelemetry's events are log records with one.

Earlier SDKs have no field for the name: it is then the attribute `event.name`.

Sources: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/ and
https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
"""

from typing import Final

from otel_loggedmodel.attributes import EVALUATION_RESULT

NAME_ATTRIBUTE: Final = "event.name"
SCORES: Final = frozenset({EVALUATION_RESULT})
MESSAGES: Final = frozenset(
    {
        # All messages of a call in one.
        "gen_ai.client.inference.operation.details",
        # One for each message, until semantic conventions 1.36; of openai-v2 until its release 2.3.
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    }
)
EXCEPTIONS: Final = frozenset({"exception", "gen_ai.client.operation.exception"})
READ: Final = SCORES | MESSAGES | EXCEPTIONS
"""What a backend keeps even where no version is on it."""
