# SPDX-License-Identifier: Apache-2.0
"""The work on one conversation: its turns one after the other, each as a row, and then what is said of the whole."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.conventions.messages.transcripts import Said, answer, asked, transcript
from otel_loggedmodel.genai.conversations import SESSION_METADATA, Conversation, called_with, identified_by
from otel_loggedmodel.genai.rows import MISSING
from otel_loggedmodel.genai.scoring import Scorer
from otel_loggedmodel.genai.working import DoneRowWork, Output, Worker

# A result lists so many traces of the conversation that it judges.
_MOST_LISTED: Final = 200


class Converser:
    """Works on conversations, from any thread.

    Args:
        worker: Works on their turns.
        scorers: Who judges whole conversations.
        has_digest: Whether the data set has a digest, so that conversations are rows of it.
    """

    def __init__(self, worker: Worker, scorers: Sequence[Scorer], *, has_digest: bool) -> None:
        self._worker = worker
        self._scorers = scorers
        self._has_digest = has_digest
        predictor = worker.predictor
        self._names, self._takes_any = (None, False) if predictor is None else _parameters_of(predictor.function)

    def work(self, conversation: Conversation, done: Sequence[frozenset[str]]) -> list[DoneRowWork]:
        """Work on a conversation. What is said of the whole stands with its first turn.

        After a turn that failed, the conversation cannot go on. The turns that are left have failed then.

        Args:
            conversation: The conversation.
            done: For each turn, the digests of scorers that have judged it already. What judged the whole stands with
                the first.
        """
        is_held = self._worker.predictor is not None
        session = None if is_held else conversation.session
        session = session or f"c-{os.urandom(8).hex()}"
        history: list[Said] = []
        found: list[DoneRowWork] = []
        held: list[Output] = []
        problem: str | None = None
        for place, turn in enumerate(conversation.turns):
            row = replace(turn.row, session=session)
            if problem is not None:
                found.append(DoneRowWork(row, error=problem))
                continue
            if not is_held and turn.said and row.outputs is MISSING:
                found.append(DoneRowWork(row))  # the user had the last word
                continue
            given = None
            if is_held:
                history += [dict(one) for one in turn.said] or asked(row.inputs)
                row = replace(row, inputs=called_with(turn, self._names, history))
                given = identified_by(self._names, row.inputs, session, takes_any=self._takes_any)
            done_row, output = self._worker.work_on(row, done[place] if done else frozenset(), given)
            found.append(done_row)
            if output is None:
                problem = f"turn {place + 1} of its conversation failed: {done_row.error}"
                continue
            held.append(output)
            if is_held:
                history.append({"role": "assistant", "content": answer(output.outputs)})
        left = [scorer for scorer in self._scorers if not done or scorer.digest not in done[0]]
        if problem is None and held and left:
            self._judge(conversation, session, left, held, found)
        return found

    def _judge(
        self,
        conversation: Conversation,
        session: str,
        scorers: Sequence[Scorer],
        held: Sequence[Output],
        found: list[DoneRowWork],
    ) -> None:
        first = held[0]
        row = conversation.key if self._has_digest else None
        if first.is_of_other:  # a turn of a data set that was evaluated before
            row = first.judged.group or first.judged.row
        judged = replace(
            first.judged,
            row=row,
            group=None,
            conversation=session,
            turns=tuple(f"{output.judged.trace_id:032x}" for output in held[:_MOST_LISTED]),
        )
        takes = {name for scorer in scorers for name in scorer.takes}
        given = {
            "session": [output.trace() for output in held] if "session" in takes else None,
            "conversation": _transcript(conversation, held) if "conversation" in takes else None,
            "expectations": _expectations(conversation, held),
        }
        if given["session"] is not None:
            given["session"] = [trace for trace in given["session"] if trace is not None]
        scores, spans = self._worker.judged_as_one(scorers, judged, given)
        for feedback in (one for said in scores.values() for one in said):
            feedback.metadata = {**(feedback.metadata or {}), SESSION_METADATA: session}
        at = next(place for place, done in enumerate(found) if done.trace_id is not None)
        beginning = found[at]
        found[at] = replace(beginning, scores={**beginning.scores, **scores}, results=[*beginning.results, *spans])


def _transcript(conversation: Conversation, held: Sequence[Output]) -> list[Said]:
    said = transcript((output.inputs, output.outputs) for output in held)
    rest = [one for turn in conversation.turns[len(held) :] for one in turn.said]
    return said + [{"role": one["role"], "content": one.get("content")} for one in rest]


def _expectations(conversation: Conversation, held: Sequence[Output]) -> Any:
    """What is expected of the whole; if the data do not say, what people said of its traces."""
    if conversation.expectations is not None:
        return conversation.expectations
    found: dict[str, Any] = {}
    for output, turn in zip(held, conversation.turns, strict=False):
        said = output.expectations
        if turn.row.expectations is None and isinstance(said, Mapping):
            found.update(said)
    return found


def first_call(function: Any, conversation: Conversation) -> Any:
    """What a function gets for the first turn of a conversation."""
    names, takes_any = _parameters_of(function)
    turn = conversation.turns[0]
    history = [dict(one) for one in turn.said] or asked(turn.row.inputs)
    return identified_by(names, called_with(turn, names, history), "c-0", takes_any=takes_any)


def _parameters_of(function: Any) -> tuple[Mapping[str, Any] | None, bool]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None, False
    kinds = {one.kind for one in parameters.values()}
    return parameters, inspect.Parameter.VAR_KEYWORD in kinds
