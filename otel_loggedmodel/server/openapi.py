# SPDX-License-Identifier: Apache-2.0
"""The JSON API described as https://spec.openapis.org/oas/v3.1.1.html has it, for those who generate clients.

Answers are described by the types of `store.results` and their like, so the description cannot be wrong. The parameters
are written down here; the tests compare them with what the API takes.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from otel_loggedmodel.server.api import MAX_COMPARED, MAX_LISTED, MAX_OFFSET, MAX_ROWS, TRACE_ORDERS
from otel_loggedmodel.store.backup import Backup
from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.exporting import Exported
from otel_loggedmodel.store.reading import MOST_TRIES, ROW_CHANGES, RowFilter, RunFilter, TraceFilter, VersionFilter
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.upkeep import Condition, Repair
from otel_loggedmodel.store.version_results import Version, VersionDetail
from otel_loggedmodel.version import __version__

_Schema = dict[str, Any]

_TEXT: Final[_Schema] = {"type": "string"}
_FLAG: Final[_Schema] = {"type": "string", "enum": ["false", "true"], "default": "false"}
_TIME: Final[_Schema] = {"type": "string", "format": "date-time"}
_PAIRS: Final[_Schema] = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[^=]+=", "examples": ["team=support"]},
}


def _number(default: int, least: int, most: int) -> _Schema:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def _query(name: str, schema: _Schema, text: str, *, required: bool = False) -> _Schema:
    parameter = {"name": name, "in": "query", "description": text, "required": required, "schema": schema}
    return {**parameter, "explode": True} if schema["type"] == "array" else parameter


def _path(name: str, text: str) -> _Schema:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {**_TEXT, "minLength": 1}}


_SELECTION: Final = [
    _query("since", _TIME, "Entry spans that began then or later."),
    _query("until", _TIME, "Entry spans that began before."),
    _query("service", _TEXT, "`service.name` of the entry span."),
    _query("attribute", _PAIRS, "What the entry span, or else its resource, has to have: key=value."),
    _query("dataset", _TEXT, "Name or digest of the data set that was evaluated. Not together with production."),
    _query("production", _FLAG, "Leave out what was evaluated on data sets."),
    _query("prompt", _TEXT, "Traces that use a prompt of this name, or with @ and its version, that version of it."),
    _query("agent", _TEXT, "Traces in which the agent of this name takes part."),
    _query("by", _TEXT, "Which traces are one unit where versions are compared: session, trace, or an attribute."),
    _query(
        "runs",
        {**_TEXT, "enum": ["latest", "all"], "default": "latest"},
        "Of several evaluations on a data set, the scores of the latest that is whole, or of all.",
    ),
    _query(
        "failed_rows",
        {**_TEXT, "enum": ["skip", "zero"], "default": "skip"},
        "Rows of a data set that failed are left out of scores, or count as 0.",
    ),
    _query(
        "pass_at",
        {"type": "integer", "minimum": 1, "maximum": MOST_TRIES},
        "Scores that pass or fail are pass@k over all runs, with this k.",
    ),
]
_VERSION: Final = _path("version", "An id, the beginning of one that is of no other, or a name: its newest version.")


def _versions(least: int) -> _Schema:
    schema = {"type": "array", "items": _TEXT, "minItems": least, "maxItems": MAX_COMPARED}
    return _query("version", schema, "Which. The first is what the others are held against.", required=True)


_FOUND: Final = [
    _query(
        "version",
        {"type": "array", "items": _TEXT, "maxItems": MAX_COMPARED},
        "Of this version, or of any of these; by default of all.",
    ),
    _query("errors_only", _FLAG, "Failed ones."),
    _query("text", _TEXT, "In which any span has this text."),
    _query("model", _TEXT, "In which this model was called."),
    _query("error_type", _TEXT, "That failed with this type of error."),
    _query("route", _TEXT, "Of this route, or whose entry span has this name."),
    _query("conversation", _TEXT, "That are turns of this conversation."),
    _query("score", _TEXT, "Whose score is within a bound: correct<0.5, correct>=0.5, correct=1."),
]

# Path, what it is for, its parameters, and the answer: a type, or the name of a list, the type of what is in it, and
# what stands beside it.
_QUESTIONS: Final[Sequence[tuple[str, str, Sequence[_Schema], Any]]] = (
    (
        "/api/v1/versions",
        "The versions, those that were used last first",
        [
            _query("name", _TEXT, "Of this name."),
            _query("tag", _PAIRS, "With this tag: key=value."),
            _query("param", _PAIRS, "With this param: key=value."),
            _query("deleted", _FLAG, "Deleted ones too."),
            _query("limit", _number(VersionFilter.limit, 1, MAX_LISTED), "At most so many."),
            *_SELECTION,
        ],
        ("versions", Version, {"notes": {"type": "array", "items": _TEXT}}),
    ),
    ("/api/v1/versions/{version}", "One version, its numbers and its history", [_VERSION, *_SELECTION], VersionDetail),
    ("/api/v1/compare", "Versions side by side", [_versions(1), *_SELECTION], Comparison),
    ("/api/v1/activities", "How versions did over time", [_versions(1), *_SELECTION], Activities),
    ("/api/v1/behaviour", "What is behind the numbers", [_versions(1), *_SELECTION], Behaviour),
    ("/api/v1/datasets", "The data sets that were evaluated", [], ("datasets", Dataset)),
    ("/api/v1/deployments", "What the services that still send run now", [], ("deployments", Deployment)),
    (
        "/api/v1/runs",
        "Evaluation runs, the newest first",
        [
            _query("version", _TEXT, "Of this version."),
            _query("dataset", _TEXT, "Of this data set, by name or digest."),
            _query("limit", _number(RunFilter.limit, 1, MAX_LISTED), "At most so many."),
        ],
        ("runs", Run),
    ),
    (
        "/api/v1/runs/{run}",
        "One run, of each version and data set that it evaluated",
        [_path("run", "An id, the beginning of one that is of no other, or a name: the newest run of it.")],
        ("runs", Run),
    ),
    (
        "/api/v1/compare/rows",
        "The rows of data sets that changed most",
        [
            _versions(2),
            _query("score", _TEXT, "Of this evaluation."),
            _query("limit", _number(RowFilter.limit, 1, MAX_ROWS), "At most so many of each."),
            _query("change", {"type": "string", "enum": list(ROW_CHANGES)}, "Only those whose value is that."),
            _query("with_others", _FLAG, "How these rows changed under the other evaluations, too."),
            *_SELECTION,
        ],
        ("rows", RowChange),
    ),
    (
        "/api/v1/traces",
        "Traces, one for each entry span that counts",
        [
            *_FOUND,
            _query("order", {**_TEXT, "enum": list(TRACE_ORDERS), "default": TraceFilter.order}, "In which order."),
            _query("limit", _number(TraceFilter.limit, 1, MAX_LISTED), "At most so many."),
            _query("offset", _number(TraceFilter.offset, 0, MAX_OFFSET), "Leave out so many."),
            *_SELECTION,
        ],
        ("traces", TraceSummary),
    ),
    ("/api/v1/traces/facets", "What a list of traces could be narrowed to", [*_FOUND, *_SELECTION], Facets),
    ("/api/v1/traces/{trace_id}", "One trace with its spans", [_path("trace_id", "32 hex digits.")], Trace),
    ("/api/v1/store", "How whole the store is", [], Condition),
)
_CHANGES: Final[Sequence[tuple[str, str, bool, Any]]] = (
    ("/api/v1/store/repair", "Set damaged parts aside", False, Repair),
    ("/api/v1/store/backup", "Write a backup on the backend's machine", True, Backup),
    ("/api/v1/store/restore", "Add the spans of a backup", True, Backup),
    ("/api/v1/store/export", "Export into a directory on the backend's machine", True, Exported),
)
_ERROR: Final[_Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "suggestions"],
            "properties": {"code": _TEXT, "message": _TEXT, "suggestions": {"type": "array", "items": _TEXT}},
        }
    },
}
_REFUSALS: Final = {
    "400": "A parameter is unknown, missing or wrong",
    "401": "The token is missing or wrong",
    "403": "This may not be asked from there",
    "404": "There is no such version, run or trace",
    "409": "Several versions are meant",
    "421": "The backend answers to another name",
    "429": "Too many wrong tokens came from there",
    "503": "The store or the backend cannot answer now",
}


@cache
def document() -> bytes:
    """The description, as JSON."""
    types = [answer[1] if isinstance(answer, tuple) else answer for _, _, _, answer in _QUESTIONS]
    types += [answer for _, _, _, answer in _CHANGES]
    references, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(types, references, strict=True))
    paths: dict[str, Any] = {
        path: {"get": {"summary": text, "parameters": parameters, "responses": _responses(_answer(answer, schemas))}}
        for path, text, parameters, answer in _QUESTIONS
    }
    paths["/api/v1/revision"] = {
        "get": {
            "summary": "A text that changes when spans are stored or deleted",
            "parameters": [],
            "responses": _responses(_object("revision", _TEXT)),
        }
    }
    for path, text, has_body, answer in _CHANGES:
        change: _Schema = {"summary": text, "responses": _responses(schemas[answer])}
        if has_body:
            change["requestBody"] = {"required": True, "content": _json(_object("path", {**_TEXT, "minLength": 1}))}
        paths[path] = {"post": change}
    return msgspec.json.encode(
        {
            "openapi": "3.1.1",
            "info": {"title": "otel-loggedmodel", "version": __version__, "license": {"name": "Apache-2.0"}},
            "security": [{}, {"token": []}],
            "paths": paths,
            "components": {
                "schemas": {**components, "Error": _ERROR},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _answer(answer: Any, schemas: Mapping[Any, _Schema]) -> _Schema:
    if not isinstance(answer, tuple):
        return schemas[answer]
    name, kind, *beside = answer
    return _object(name, {"type": "array", "items": schemas[kind]}, *beside)


def _object(name: str, schema: _Schema, beside: Mapping[str, _Schema] | None = None) -> _Schema:
    properties = {name: schema, **(beside or {})}
    return {"type": "object", "required": [*properties], "properties": properties}


def _responses(answer: _Schema) -> _Schema:
    error = _json({"$ref": "#/components/schemas/Error"})
    return {
        "200": {"description": "The answer", "content": _json(answer)},
        **{status: {"description": text, "content": error} for status, text in _REFUSALS.items()},
    }


def _json(schema: _Schema) -> _Schema:
    return {"application/json": {"schema": schema}}
