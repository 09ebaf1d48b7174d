# SPDX-License-Identifier: Apache-2.0
"""Logfire and Pydantic AI."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

SOURCE: Final = Source(
    name="Logfire and Pydantic AI",
    url="https://github.com/pydantic/pydantic-ai/blob/main/pydantic_ai_slim/pydantic_ai/models/instrumented.py",
    places=(Place(Thing.COST, "operation.cost"),),
)
