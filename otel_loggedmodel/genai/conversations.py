# SPDX-License-Identifier: Apache-2.0
"""Rows that are conversations, and rows that are turns of one.

A conversation is a record with the messages or turns that it consists of, a list of traces, or the rows that say the
same session. Each of its turns is a row, with a trace of its own. The turns are one group, as they are not independent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.conventions.messages.transcripts import INPUT, MESSAGES, Said, is_answer, is_said
from otel_loggedmodel.conventions.reading import name_of
from otel_loggedmodel.conventions.things import Thing

if TYPE_CHECKING:
    from otel_loggedmodel.genai.rows import Row

# The fields of a record that hold a conversation: ours, and that of files with which models are tuned.
FIELDS: Final = ("conversation", "messages")
SESSION_FIELDS: Final = ("session", "session_id", "conversation_id", "conversation")
_TURN_FIELDS: Final = ("inputs", "outputs", "expectations", "trace", "trace_id", "tags")
# Where MLflow says the session: of a trace, and of what is said of one.
SESSION_METADATA: Final = "mlflow.trace.session"


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        row: The turn as a row. Its outputs are what the data say was answered.
        said: The messages that are new in this turn, up to the answer; none where inputs are no messages.
        shared: What each turn's inputs have besides the messages.
    """

    row: "Row"
    said: tuple[Said, ...] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """A conversation of the data.

    Attributes:
        number: Its place, from 0.
        key: The same conversation has the same key in every run.
        turns: In order.
        expectations: What is expected of the whole.
        session: The id that its traces have already; None if it is made when the conversation is held.
    """

    number: int
    key: str
    turns: tuple[Turn, ...]
    expectations: Any = None
    session: str | None = None

    @property
    def expected(self) -> Any:
        """What is expected of it and of its turns, for the data set's digest."""
        of_turns = [turn.row.expectations for turn in self.turns]
        return self.expectations if not any(of_turns) else [self.expectations, of_turns]


def exchanges_of(said: Any, number: int) -> list[Mapping[str, Any]]:
    """The turns of a list of messages or turns, as records with `inputs` or `said`, and `outputs`.

    Args:
        said: Messages with `role` and `content`, texts of the user's, or dicts with `inputs`.
        number: Which row it is of, for error messages.

    Raises:
        TypeError: It is no list of these.
        ValueError: It has no turn.
    """
    if not isinstance(said, list | tuple):
        raise TypeError(
            f"the conversation of row {number} is {type(said).__name__}: pass a list of messages with `role` and "
            "`content`, of texts, or of dicts with `inputs`"
        )
    if said and all(isinstance(one, Mapping) and not is_said(one) for one in said):
        for place, one in enumerate(said):
            if not any(one.get(key) is not None for key in _TURN_FIELDS):
                raise ValueError(f"turn {place} of row {number} has no `inputs`, `outputs` or `trace`")
        return list(said)
    messages: list[Said] = []
    for place, one in enumerate(said):
        if not isinstance(one, str) and not is_said(one):
            raise TypeError(
                f"message {place} of row {number} is {type(one).__name__}: pass dicts with `role` and `content`, or "
                "texts of the user's"
            )
        messages.append({"role": "user", "content": one} if isinstance(one, str) else dict(one))
    found = list(_exchanges(messages))
    if not found:
        raise ValueError(f"the conversation of row {number} has no turn: no message has the role 'user'")
    return found


def _exchanges(messages: Sequence[Said]) -> Iterator[Mapping[str, Any]]:
    """The turns of messages. Where nothing was answered yet, each of the user's messages is one."""
    is_script = not any(is_answer(one) for one in messages)
    said: list[Said] = []
    answers: list[Said] = []
    for message in messages:
        is_asked = any(one["role"] == "user" for one in said)
        if is_answer(message) and is_asked:
            answers.append(message)
            continue
        if answers or (is_script and is_asked and message["role"] == "user"):
            yield {"said": tuple(said), "answers": tuple(answers)}
            said, answers = [], []
        said.append(message)
    if any(one["role"] == "user" for one in said):
        yield {"said": tuple(said), "answers": tuple(answers)}


def last_text(answers: Sequence[Said]) -> Any:
    """What the last of a turn's answers says; None if there is none."""
    return next((one["content"] for one in reversed(answers) if one.get("content") is not None), None)


def session_of_trace(trace: Any) -> str | None:
    """The session, or conversation, that a trace is a turn of: ours, the store's or MLflow's."""
    if trace is None:
        return None
    own = getattr(trace, "session_id", None)
    if isinstance(own, str) and own:
        return own
    metadata = getattr(getattr(trace, "info", trace), "trace_metadata", None)
    if isinstance(metadata, Mapping) and metadata.get(SESSION_METADATA):
        return str(metadata[SESSION_METADATA])
    spans = getattr(trace, "spans", None) or ()
    said = (name_of(span.attributes, Thing.CONVERSATION) for span in spans if isinstance(span.attributes, Mapping))
    return next(filter(None, said), None)


def grouped(rows: Iterable["Row | Conversation"]) -> "Iterator[Row | Conversation]":
    """Rows with those of one session put together, as conversations, which come last. All of these are kept till then.

    Args:
        rows: Rows that have outputs or traces.
    """
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row, Conversation) or row.session is None:
            yield row
        else:
            waiting.setdefault(row.session, []).append(row)
    for session in list(waiting):
        turns = sorted(waiting.pop(session), key=_began)
        yield Conversation(turns[0].number, session, tuple(map(Turn, turns)), None, session)


def _began(row: "Row") -> tuple[int, int]:
    info = getattr(row.trace, "info", row.trace)
    time = getattr(info, "request_time", None)
    return (time if isinstance(time, int) else 0, row.number)


def called_with(turn: Turn, names: Mapping[str, Any] | None, history: Sequence[Said]) -> Any:
    """What a function gets for a turn.

    Args:
        turn: The turn.
        names: The function's parameters; None if they are not known.
        history: What was said until now, with what is new in this turn.
    """
    inputs = turn.row.inputs
    if turn.said:
        place = INPUT if names is not None and INPUT in names and MESSAGES not in names else MESSAGES
        return {**turn.shared, place: [dict(one) for one in history]}
    if isinstance(inputs, Mapping) and names is not None and MESSAGES in names and MESSAGES not in inputs:
        return {**inputs, MESSAGES: [dict(one) for one in history]}
    return inputs


def identified_by(names: Mapping[str, Any] | None, inputs: Any, session: str, *, takes_any: bool) -> Any:
    """Inputs with the conversation's id, where a function has a parameter for it.

    Args:
        names: The function's parameters; None if they are not known.
        inputs: What it gets besides.
        session: The id.
        takes_any: Whether it takes any keyword; then it gets the id under MLflow's name.
    """
    if names is None or not isinstance(inputs, Mapping):
        return inputs
    wanted = [name for name in ("conversation_id", "session_id", "mlflow_session_id") if name in names]
    wanted = wanted or (["mlflow_session_id"] if takes_any else [])
    return {**dict.fromkeys(wanted, session), **inputs}
