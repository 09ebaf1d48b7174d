# SPDX-License-Identifier: Apache-2.0
"""What is left to do of an evaluation: its rows and conversations, less what was done before a kill."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.conversations import Conversation, grouped
from otel_loggedmodel.genai.journal import DoneRow
from otel_loggedmodel.genai.rows import Row
from otel_loggedmodel.genai.scoring import Scorer
from otel_loggedmodel.genai.sources import Dataset
from otel_loggedmodel.genai.working import DoneRowWork

_NONE: Final[frozenset[str]] = frozenset()
# A row with the digests of the scorers that have judged it, or a conversation with those of each of its turns.
Todo = tuple[Row, frozenset[str]] | tuple[Conversation, Sequence[frozenset[str]]]


class Pending:
    """The rows and conversations that are to be worked on.

    Args:
        dataset: All there are.
        scorers: Who is to judge.
        known: What was done before, by the rows' keys.
        is_held: Whether conversations are held anew, so that what was done of one of its turns is of no use.

    Attributes:
        conversations: How many conversations there were until now.
        has_judges: Whether there are scorers of conversations.
    """

    def __init__(
        self, dataset: Dataset, scorers: Sequence[Scorer], known: Mapping[str, DoneRow], *, is_held: bool
    ) -> None:
        self._dataset = dataset
        self._known = known
        self._is_held = is_held
        # What judges conversations stands with their first turn.
        self._wanted = frozenset(scorer.digest for scorer in scorers if not scorer.is_session_level_scorer)
        self._wanted_first = frozenset(scorer.digest for scorer in scorers)
        self.has_judges = self._wanted != self._wanted_first
        self.conversations = 0

    def left(self, resume: Callable[[Row, DoneRow], None]) -> Iterator[Todo]:
        """What is left.

        Args:
            resume: Is told of each row that was done before.
        """
        opened = self._dataset.open()
        for row in grouped(opened) if self.has_judges and not self._is_held else opened:
            if isinstance(row, Conversation):
                self.conversations += 1
                yield from self._of_conversation(row, resume)
            elif not self._known:
                yield row, _NONE
            elif self._judged(row) >= self._wanted and row.key in self._known:
                resume(row, self._known[row.key])
            else:
                yield row, self._judged(row)

    def with_known(self, done: DoneRowWork) -> Mapping[str, Sequence[Feedback]]:
        """What was said of a row, now and before."""
        earlier = self._known.get(done.row.key) if self._known else None
        return done.scores if earlier is None else {**earlier.scores, **done.scores}

    def _of_conversation(self, conversation: Conversation, resume: Callable[[Row, DoneRow], None]) -> Iterator[Todo]:
        rows = [turn.row for turn in conversation.turns]
        judged = [self._judged(row) for row in rows]
        done = [self._known[row.key] for row in rows if row.key in self._known]
        if done and judged[0] >= self._wanted_first and all(one >= self._wanted for one in judged[: len(done)]):
            is_whole = len(done) == len(rows) or (len(done) == len(rows) - 1 and not self._is_held)
            if is_whole:
                for row, one in zip(rows, done, strict=False):
                    resume(row, one)
                return
        yield conversation, () if self._is_held else judged

    def _judged(self, row: Row) -> frozenset[str]:
        done = self._known.get(row.key)
        return _NONE if done is None else done.scores_known
