# SPDX-License-Identifier: Apache-2.0
"""What the programs tell, and what is stored of it."""

import time
from collections.abc import Mapping
from typing import Any

# A clock that is an hour behind.
LATE_MS = (int(time.time()) - 3600) * 1000
LONG = "y" * 200_000
SMILE = "\U0001f600"


def check_javascript(trace: Any, told: Any, *, limit: int | None, service: str) -> None:
    """See that a trace is what `story.mjs` tells.

    Args:
        trace: As the JSON API has it.
        told: What the program says that it sent: a span's context by its name.
        limit: Of the length of values, in UTF-16 units.
        service: Its name.
    """
    spans = spans_told(trace, told)
    root, failing, late = spans["request"], spans["fails"], spans["late"]
    # Half of the last character is left; protobuf's writer puts the replacement there itself.
    cut = "x" * 19 + (SMILE if limit is None else "\ufffd")
    assert root["attributes"] == {
        "cut": cut,
        "long": LONG[:limit],
        "whole": "9007199254740991",
        "beyond": "10000000000000000000",
        "half": "0.5",
        "yes": "true",
        "texts": f'["a",null,"{SMILE}"]',
        "numbers": "[1,2.5]",
        "empty": "",
    }
    check_spans(root, failing, late, service=service)
    [event] = failing["events"]
    assert (event["name"], event["attributes"]["exception.type"]) == ("exception", "TypeError")
    assert event["attributes"]["exception.message"] == "it broke"


def check(trace: Any, told: Any, *, limit: int | None, cut: str, more: Mapping[str, str] | None = None) -> None:
    """See that a trace is what the programs in other languages tell.

    Args:
        trace: As the JSON API has it.
        told: What the program says that it sent: a span's ids by its name.
        limit: Of the length of values.
        cut: What is left of nineteen letters and a character beyond the first 65,536 where that limit is 20.
        more: Attributes that the program has and others have not.
    """
    spans = spans_told(trace, told)
    root, failing, late = spans["request"], spans["fails"], spans["late"]
    assert root["attributes"] == {
        "cut": "x" * 19 + SMILE if limit is None else cut,
        "long": LONG[:limit],
        "least": "-9223372036854775808",
        "half": "0.5",
        "yes": "true",
        "texts": f'["a","{SMILE}"]',
        "numbers": "[1,2]",
        "empty": "",
        **(more or {}),
    }
    check_spans(root, failing, late, service="sender")
    [event] = failing["events"]
    assert (event["name"], event["attributes"]["exception.message"]) == ("exception", "it broke")


def spans_told(trace: Any, told: Any) -> dict[str, Any]:
    """The spans of a trace by their names, which are those that a program told of."""
    spans = {span["name"]: span for span in trace["spans"]}
    assert len(trace["spans"]) == len(told)
    assert {name: (span["trace_id"], span["span_id"]) for name, span in spans.items()} == {
        name: (context["traceId"], context["spanId"]) for name, context in told.items()
    }
    return spans


def check_spans(root: Any, failing: Any, late: Any, *, service: str) -> None:
    """See that everything but attributes and events is as it is in every language."""
    assert {span["service"] for span in (root, failing, late)} == {service}
    assert {span["model_id"] for span in (root, failing, late)} == {f"m-{service}"}
    assert root["parent_span_id"] is None
    assert {failing["parent_span_id"], late["parent_span_id"]} == {root["span_id"]}
    assert (root["kind"], failing["kind"], late["kind"]) == ("Server", "Internal", "Client")
    assert (root["status"], failing["status"], failing["status_message"]) == ("Unset", "Error", "it broke")
    assert (late["start_ns"], late["duration_ns"]) == (LATE_MS * 10**6, 250 * 10**6)
    assert [(link["trace_id"], link["span_id"]) for link in late["links"]] == [
        (failing["trace_id"], failing["span_id"])
    ]
    assert abs(root["start_ns"] - time.time_ns()) < 600 * 10**9
    assert root["start_ns"] <= failing["start_ns"]
    assert root["duration_ns"] >= failing["duration_ns"] >= 0
