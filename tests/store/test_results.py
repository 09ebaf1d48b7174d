# SPDX-License-Identifier: Apache-2.0
"""The JSON of every answer is what `proto/` describes: a client generated from it reads all of it."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from otel_loggedmodel.store import results, row_results, run_results, trace_results, version_results
from otel_loggedmodel.v1 import comparison_pb2, reading_pb2

ANSWERS: Mapping[Any, type[Message]] = {
    results.Comparison: comparison_pb2.Comparison,
    version_results.Version: reading_pb2.Version,
    version_results.VersionDetail: reading_pb2.VersionDetail,
    trace_results.TraceSummary: reading_pb2.TraceSummary,
    row_results.RowChange: reading_pb2.RowChange,
    run_results.Run: reading_pb2.Run,
    trace_results.Trace: reading_pb2.Trace,
}
HOSTILE = "<b>'\"\\\n\x00 🚀"


def filled(kind: Any) -> Any:
    """A value of a type in which nothing is empty."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return filled(next(argument for argument in arguments if argument is not types.NoneType))
    if origin is tuple:
        return tuple(filled(argument) for argument in arguments if argument is not Ellipsis)
    if origin is Mapping:
        return {HOSTILE: filled(arguments[1])}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: filled(hints[field.name]) for field in dataclasses.fields(kind)})
    return {
        str: HOSTILE,
        int: 2**60 + 1,
        float: 0.1,
        bool: True,
        results.Verdict: results.Verdict.WORSE,
        results.Reason: results.Reason.TOO_FEW,
    }[kind]


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_answers_are_the_messages_of_the_protos(kind: Any) -> None:
    text = msgspec.json.encode(filled(kind))
    message = json_format.Parse(text, ANSWERS[kind]())
    printed = json_format.MessageToDict(message, preserving_proto_field_name=True)

    def with_numbers_as_texts(value: Any) -> Any:
        # Protobuf's JSON has 64-bit numbers as texts, ours as numbers; parsers take both.
        if isinstance(value, Mapping):
            return {key: with_numbers_as_texts(part) for key, part in value.items()}
        if isinstance(value, list):
            return [with_numbers_as_texts(part) for part in value]
        return str(value) if type(value) is int else value

    assert printed == with_numbers_as_texts(json.loads(text))


def test_an_answer_with_nothing_optional_is_a_message_too() -> None:
    version = version_results.Version(model_id="m-1")
    parsed = json_format.Parse(msgspec.json.encode(version), reading_pb2.Version())
    assert parsed.model_id == "m-1"
    assert not parsed.HasField("p95_ms")
    comparison = results.Comparison(
        versions=[results.VersionMetrics(model_id="m-1")],
        configuration=[results.ConfigurationDifference(kind="param", key="k", values=["1", None])],
    )
    parsed_comparison = json_format.Parse(msgspec.json.encode(comparison), comparison_pb2.Comparison())
    assert not parsed_comparison.versions[0].HasField("cost_usd")
    assert [value.WhichOneof("kind") for value in parsed_comparison.configuration[0].values] == [
        "string_value",
        "null_value",
    ]


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_answers_survive_the_way_through_json(kind: Any) -> None:
    value = filled(kind)
    decoded = msgspec.json.decode(msgspec.json.encode(value), type=kind)
    assert msgspec.to_builtins(decoded) == msgspec.to_builtins(value)
