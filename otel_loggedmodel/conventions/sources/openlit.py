# SPDX-License-Identifier: Apache-2.0
"""OpenLIT's instrumentations."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

SOURCE: Final = Source(
    name="OpenLIT",
    url="https://github.com/openlit/openlit/blob/main/sdk/python/src/openlit/semcov/__init__.py",
    places=(Place(Thing.COST, "gen_ai.usage.cost"),),
)
