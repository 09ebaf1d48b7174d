# SPDX-License-Identifier: Apache-2.0
"""What is kept of a recording: spans without what is of this machine or of others' writing; and how two differ."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

# Of the machine, or of the run.
_DROPPED: Final = re.compile(
    r"process\.|host\.|os\.|service\.instance\.id|telemetry\.distro|.*\.port$|client\.address|exception\.stacktrace|code\..*|thread\..*"
)
_PORT: Final = re.compile(r"(127\.0\.0\.1|localhost):\d+")
_PATH: Final = re.compile(r"(?:/[\w.@+-]+){2,}/(?=[\w.@+-]+\.(?:py|js|mjs|go|java)\b)")
_LONGEST: Final = 4000
# What differs from run to run: ids, times, durations.
_RANDOM: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{16,64}\b|\d{4}-\d\d-\d\dT[\d:.]+Z?|\b\d{10,20}\b|\d+\.\d{3,}"
)


def kept(resource_spans: Sequence[dict[str, Any]], own_texts: Sequence[str]) -> list[dict[str, Any]]:
    """Spans as they are committed.

    Args:
        resource_spans: As they were received.
        own_texts: Patterns of what a framework itself writes to a model; replaced by a word of ours.
    """
    patterns = [re.compile(pattern, re.DOTALL) for pattern in own_texts]
    return [_kept(one, patterns) for one in resource_spans]


def difference(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[str]:
    """What changed between two recordings, as lines of a diff; what differs from run to run does not count."""
    return list(difflib.unified_diff(_lines(before), _lines(after), "committed", "recorded now", lineterm="", n=1))


def _kept(value: Any, patterns: Sequence[re.Pattern[str]]) -> Any:
    if isinstance(value, dict):
        return {
            key: _kept([one for one in inner if not _is_dropped(one)] if key == "attributes" else inner, patterns)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_kept(one, patterns) for one in value]
    if not isinstance(value, str):
        return value
    for pattern in patterns:
        value = pattern.sub("INSTRUCTIONS", value)
    value = _PATH.sub("", _PORT.sub(r"\1:1234", value))
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ... (cut)"


def _is_dropped(attribute: dict[str, Any]) -> bool:
    return _DROPPED.fullmatch(attribute["key"]) is not None or attribute["key"].startswith(("process.", "host.", "os."))


def _lines(resource_spans: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(_RANDOM.sub("...", line) for line in _described(resource_spans))


def _described(resource_spans: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in resource_spans:
        version = next(
            (
                pair["value"].get("stringValue", "")
                for pair in one.get("resource", {}).get("attributes", [])
                if pair["key"] == "logged_model.id"
            ),
            "",
        )
        for scope_spans in one.get("scopeSpans", []):
            scope = scope_spans.get("scope", {})
            for span in scope_spans.get("spans", []):
                head = f"{version} {scope.get('name', '')} {span['name']}"
                yield f"{head}: {span.get('kind', '')} {span.get('status', {}).get('code', '')}"
                for holder, pairs in ((head, span.get("attributes", [])), *_events(head, span)):
                    for pair in pairs:
                        yield f"{holder} {pair['key']} = {json.dumps(pair['value'], ensure_ascii=False)[:300]}"


def _events(head: str, span: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for event in span.get("events", []):
        yield f"{head} [{event.get('name', '')}]", event.get("attributes", [])
