# SPDX-License-Identifier: Apache-2.0
"""Makes of recorded spans what is kept of them: numbers, names and times, and none of the texts.

`python -m conventions.reducing FROM`, in `tests/`, reads `NAME.json` and `NAME.truth.json` of a directory, and writes
what counting reads of them into `counted/`: prompts and answers of frameworks are theirs.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel_loggedmodel.conventions.scopes import LITELLM_CALL_ID
from otel_loggedmodel.conventions.shape import Form
from otel_loggedmodel.conventions.table import SOURCES
from otel_loggedmodel.conventions.things import Thing

HERE = Path(__file__).parent / "counted"
_TEXTS = (Thing.INPUT, Thing.OUTPUT, Thing.INPUT_MESSAGES, Thing.OUTPUT_MESSAGES)
_PLACES = [place for source in SOURCES for place in source.places if place.thing not in _TEXTS]
_KEYS = {LITELLM_CALL_ID, *(place.attribute for place in _PLACES if place.form is not Form.EVENT)}
_PATHS = {key: [place.path for place in _PLACES if place.attribute == key and place.path] for key in _KEYS}
_OWN = "logged_model."
# What was written to a cache was not noted down there; the cost that was noted has it.
_WRITTEN = {"ai6-claude-generate": 1193, "ai6-claude-tools": 2414}


def reduced(attribute: Mapping[str, Any]) -> dict[str, Any] | None:
    """An attribute as it is kept, or None."""
    key = attribute["key"]
    if key.startswith(_OWN):
        return dict(attribute)
    if key not in _KEYS:
        return None
    if _PATHS[key] and key != "metadata.usage_object":
        kept = _kept(attribute["value"].get("stringValue", ""), _PATHS[key])
        return None if kept is None else {"key": key, "value": {"stringValue": json.dumps(kept)}}
    return dict(attribute)


def _kept(text: str, paths: list[tuple[str | int, ...]]) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    kept: dict[str, Any] = {}
    for path in paths:
        found, into = value, kept
        for place, step in enumerate(path):
            if not isinstance(found, dict) or step not in found:
                break
            found = found[step]
            if place == len(path) - 1:
                into[str(step)] = found
            else:
                into = into.setdefault(str(step), {})
    return kept or None


def main(source: Path) -> None:
    """Reduce every recording of a directory."""
    HERE.mkdir(exist_ok=True)
    for path in sorted(source.glob("*.truth.json")):
        name = path.name.removesuffix(".truth.json")
        body = json.loads((source / f"{name}.json").read_text(encoding="utf-8"))
        for resource_spans in body["resourceSpans"]:
            resource = resource_spans["resource"]
            resource["attributes"] = [
                one
                for one in resource["attributes"]
                if one["key"].startswith((_OWN, "service.name", "telemetry.sdk.l"))
            ]
            for span in (one for scope in resource_spans["scopeSpans"] for one in scope["spans"]):
                span["attributes"] = [kept for one in span.get("attributes", []) if (kept := reduced(one)) is not None]
                span["events"] = [
                    {"name": event["name"], "timeUnixNano": event["timeUnixNano"]} for event in span.get("events", [])
                ]
                span.get("status", {}).pop("message", None)
        (HERE / f"{name}.json").write_text(json.dumps(body, separators=(",", ":")) + "\n", encoding="utf-8")
        told = json.loads(path.read_text(encoding="utf-8"))
        truth = [{key: one[key] for key in ("scenario", "version", "truth")} for one in told]
        for one in truth:
            one["truth"]["written"] = _WRITTEN.get(one["scenario"], one["truth"]["written"])
        (HERE / f"{name}.truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
