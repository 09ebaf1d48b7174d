# SPDX-License-Identifier: Apache-2.0
"""Traces on the server: the link from a trace to its version, and assessments, which are our evaluation results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from otel_loggedmodel.tracking_server.models import Models
from otel_loggedmodel.tracking_server.rest import Server

SourceType = Literal["HUMAN", "CODE", "LLM_JUDGE"]


@dataclasses.dataclass(frozen=True)
class TraceLink:
    """What links a trace to a version; made where the trace's true root has ended, as the last word counts.

    Attributes:
        trace_id: OpenTelemetry's id of the trace.
        start_ns: When its root began, in nanoseconds since the epoch.
        end_ns: When its root ended.
        is_error: Whether its root failed.
        model_id: The version, by our id, the server's, or its name.
        model_name: The version's name, if the root tells it; enough to make a LoggedModel of.
    """

    trace_id: int
    start_ns: int
    end_ns: int
    is_error: bool
    model_id: str
    model_name: str | None = None


@dataclasses.dataclass(frozen=True)
class Assessment:
    """An evaluation result, as the server has it.

    Attributes:
        trace_id: The trace that was judged.
        span_id: The id of the result's own span; a repetition has the same.
        name: What was judged.
        value: A number, a bool or a label; None together with an error.
        judged_span_id: The span that was judged, or None where that is the trace.
        rationale: Why.
        source_type: Who or what judged.
        source_id: Which.
        error_code: Why there is no value.
        error_message: The same at length.
        time_ns: When, in nanoseconds since the epoch.
        metadata: More about it: scorer, data set, row.
    """

    trace_id: int
    span_id: int
    name: str
    value: float | bool | str | None = None
    judged_span_id: int | None = None
    rationale: str | None = None
    source_type: SourceType = "CODE"
    source_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    time_ns: int = 0
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_span(
        cls,
        attributes: Mapping[str, object],
        trace_id: int,
        span_id: int,
        parent_span_id: int | None,
        time_ns: int,
    ) -> Assessment | None:
        """The assessment that a span named `gen_ai.evaluation.result` carries; None where it carries none."""
        raise NotImplementedError


class Traces:
    """The traces of a server's experiment. Any thread may call it.

    Args:
        server: The server.
        models: Its LoggedModels.
    """

    def __init__(self, server: Server, models: Models) -> None:
        self._server = server
        self._models = models

    def link(self, link: TraceLink, *, as_it_is: bool = False) -> None:
        """Link a trace to its version. The same again changes nothing.

        Args:
            link: What to link to what.
            as_it_is: Where the version is unknown on both sides, link to its id all the same, and do not raise.

        Raises:
            UnknownModelError: As of `Models.id_of`; more may be known later.
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError

    def assess(self, assessment: Assessment, *, is_repeated: bool = False) -> None:
        """Add an assessment to its trace.

        Args:
            assessment: What was said of the trace.
            is_repeated: Look first whether it is there already. Without it, what this object has
                added itself, or failed to add, is known.

        Raises:
            ServerError: The server refused, or could not be asked. A 404 means that the trace is not there (yet).
        """
        raise NotImplementedError

    def known(self, trace_ids: Iterable[int]) -> set[int]:
        """Those of the traces that the server has.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError
