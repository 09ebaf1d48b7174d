# SPDX-License-Identifier: Apache-2.0
"""Which prompts and agents spans of versions name, and where versions differ in that."""

from typing import Any, Final

from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.results import ConfigurationDifference
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.steady import Steady

_MOST_NAMES: Final = 1000
_MOST_VERSIONS: Final = 5


def differences(database: Database, scope: Scope, lasting: Steady | None = None) -> tuple[ConfigurationDifference, ...]:
    """The prompts with their versions, and the agents, that are not the same for all.

    Args:
        database: Where.
        scope: Which versions, in order, and within which time.
        lasting: The same versions, if what was measured of them may be remembered.
    """
    if lasting is None:
        by_version = _by_version(database, scope)
    else:
        by_version = lasting.measure(scope, "named", lambda some: _by_version(database, some))
    named = [by_version.get(model_id, {"prompts": [], "agents": []}) for model_id in scope.model_ids or ()]
    prompts = [_versions(one["prompts"]) for one in named]
    agents = [dict.fromkeys(one["agents"], "used") for one in named]
    return tuple(
        ConfigurationDifference(kind=kind, key=key, values=values)
        for kind, mappings in (("prompt", prompts), ("agent", agents))
        for key in sorted({key for mapping in mappings for key in mapping})
        if len(set(values := tuple(mapping.get(key) for mapping in mappings))) > 1
    )


def _by_version(database: Database, scope: Scope) -> dict[str, dict[str, Any]]:
    version, spans = scope.version, scope.spans
    rows = database.query(
        f"""
        SELECT toString({version.sql}) AS version,
            groupUniqArrayIf({_MOST_NAMES})(toString({call("prompt")}), {call("prompt")} != '') AS prompts,
            groupUniqArrayIf({_MOST_NAMES})(toString({call("agent")}), {call("agent")} != '') AS agents
        FROM {scope.source}
        WHERE {spans.sql} AND {call("lone")} = 0 AND ({call("prompt")} != '' OR {call("agent")} != '')
        GROUP BY version""",
        {**version.parameters, **spans.parameters},
    )
    return {row["version"]: row for row in rows}


def _versions(prompts: list[str]) -> dict[str, str]:
    """The versions of each prompt by its name; a prompt without any is `used`."""
    found: dict[str, list[str]] = {}
    for prompt in sorted(prompts):
        name, _, number = prompt.partition("\n")
        found.setdefault(name, []).extend([number] if number else [])
    return {name: _joined(numbers) for name, numbers in found.items()}


def _joined(numbers: list[str]) -> str:
    if not numbers:
        return "used"
    numbers = sorted(numbers, key=lambda one: (len(one), one) if one.isdigit() else (99, one))
    more = f" and {len(numbers) - _MOST_VERSIONS} more" if len(numbers) > _MOST_VERSIONS else ""
    return ", ".join(numbers[:_MOST_VERSIONS]) + more
