# SPDX-License-Identifier: Apache-2.0
"""LoggedModels as the server writes them, and what this library keeps in their tags and params."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus

# Our id. It is a tag from the beginning, so that it can be searched for. It becomes a param, for which MLflow takes
# only one value, when this is settled to be the one LoggedModel of the version.
ID: Final = "logged_model.id"
DUPLICATE: Final = "duplicate"
# The name, if the server does not take it as it is.
NAME: Final = "logged_model.name"
# The source run, if it is none of the server's.
SOURCE_RUN: Final = "logged_model.source_run_id"
# When each tag was changed last, and the status. What is told again later must not undo what came after it.
CHANGES: Final = "logged_model.changes"

# MLflow's own mark on what `mlflow.create_external_model` makes. It says that there are no files.
EXTERNAL: Final = "mlflow.model.isExternal"

BOOKKEEPING_TAGS: Final = (ID, NAME, SOURCE_RUN, CHANGES, EXTERNAL)
"""Tags of a LoggedModel on the server that are this library's and not the user's."""
BOOKKEEPING_PARAMS: Final = (ID,)
"""The same for params."""

_STATUS_PREFIX: Final = "LOGGED_MODEL_"
# https://github.com/mlflow/mlflow/blob/v3.17.2/mlflow/utils/validation.py refuses the characters of the first group.
# Those of the second would end the text in a filter of a search, or keep it from ending.
_ILLEGAL: Final = re.compile(r"""[/:.%"']|[\\`]""")
_MAX_CHANGES: Final = 100
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")


def logged_model_of(document: Mapping[str, Any]) -> LoggedModel:
    """A LoggedModel of the server, with the server's id, and all its tags and params."""
    info, data = document.get("info") or {}, document.get("data") or {}
    status = str(info.get("status") or "").removeprefix(_STATUS_PREFIX)
    if status == "UPLOAD_FAILED":
        status = "FAILED"
    return LoggedModel(
        model_id=str(info["model_id"]),
        name=info.get("name") or None,
        experiment_id=str(info.get("experiment_id") or "0"),
        creation_timestamp=int(info.get("creation_timestamp_ms") or 0),
        last_updated_timestamp=int(info.get("last_updated_timestamp_ms") or 0),
        model_type=info.get("model_type") or None,
        source_run_id=info.get("source_run_id") or None,
        status=LoggedModelStatus(status) if status in LoggedModelStatus.__members__ else LoggedModelStatus.PENDING,
        tags=_texts_of(info.get("tags")),
        params=_texts_of(data.get("params")),
    )


def creation_of(model_id: str, model: LoggedModel, name: str, experiment_id: str) -> dict[str, Any]:
    """What the server is asked to make of a version.

    Args:
        model_id: Our id.
        model: What is known of it.
        name: What it is called.
        experiment_id: The server's experiment.
    """
    tags = {key: value for key, value in model.tags.items() if key not in BOOKKEEPING_TAGS}
    tags |= {ID: model_id, EXTERNAL: "true"}
    legal = legal_name(name)
    if legal != name:
        tags[NAME] = name
    wanted: dict[str, Any] = {"experiment_id": experiment_id, "name": legal}
    if model.model_type:
        wanted["model_type"] = model.model_type
    if model.source_run_id and _RUN_ID.fullmatch(model.source_run_id):
        wanted["source_run_id"] = model.source_run_id
    elif model.source_run_id:
        tags[SOURCE_RUN] = model.source_run_id
    params = {key: value for key, value in model.params.items() if key not in BOOKKEEPING_PARAMS}
    return {**wanted, "params": pairs(params), "tags": pairs(tags)}


def legal_name(name: str) -> str:
    """The name as the server takes it. Characters that it refuses become hyphens."""
    return _ILLEGAL.sub("-", name)


def original_name(model: LoggedModel) -> str | None:
    """The name of a LoggedModel of the server, before it was made legal."""
    return model.tags.get(NAME) or model.name


def on_server(status: LoggedModelStatus) -> str:
    """The status in the server's spelling. The server takes any other text, too, but stores it as unspecified."""
    has_failed = status in (LoggedModelStatus.FAILED, LoggedModelStatus.FAILED_REGISTRATION)
    return _STATUS_PREFIX + ("UPLOAD_FAILED" if has_failed else status.value)


def pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Params or tags as the server has them."""
    return [{"key": key, "value": value} for key, value in texts.items()]


def changes_of(model: LoggedModel) -> dict[str, int]:
    """When each tag was changed last, in nanoseconds since the epoch, as far as this library did it."""
    try:
        found = json.loads(model.tags.get(CHANGES, "{}"))
        return {str(key): int(time_ns) for key, time_ns in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def changes_tag(changes: Mapping[str, int], keys: Iterable[str], time_ns: int) -> str:
    """The same after some were changed. The oldest changes are forgotten."""
    newest = sorted({**changes, **dict.fromkeys(keys, time_ns)}.items(), key=lambda change: -change[1])[:_MAX_CHANGES]
    return json.dumps(dict(newest), ensure_ascii=False, separators=(",", ":"))


def _texts_of(found: object) -> dict[str, str]:
    items = found if isinstance(found, list) else []
    return {str(item["key"]): str(item.get("value", "")) for item in items if isinstance(item, dict) and "key" in item}
