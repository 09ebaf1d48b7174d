# SPDX-License-Identifier: Apache-2.0
"""Scorers of texts that compare them with a text, a pattern or a length."""

import re
import string
import unicodedata
from typing import Any, Final

from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.scorers._values import EXPECTED, expected, text_of
from otel_loggedmodel.genai.scoring import Scorer

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans(dict.fromkeys(string.punctuation, " "))


class ExactMatch(Scorer):
    """Whether the outputs are what is expected, and nothing else.

    Args:
        key: Where in `expectations` that is.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.
    """

    name = "exact_match"
    revision = 1
    key: str = EXPECTED
    field: str | None = None

    def __call__(self, *, outputs: Any, expectations: Any) -> bool | None:
        """Judge."""
        wanted = expected(expectations, self.key)
        return None if wanted is None else bool((outputs if self.field is None else outputs[self.field]) == wanted)


class NormalizedMatch(Scorer):
    """Whether the outputs are what is expected, apart from case, punctuation, white space and the articles a, an, the.

    As in Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016, but in Unicode's
    compatibility form.

    Args:
        key: Where in `expectations` that is.
        field: Where in `outputs` the answer is, if they are a dict.
        articles: Whether articles count.
        name: What the results are called.
    """

    name = "normalized_match"
    revision = 1
    key: str = EXPECTED
    field: str | None = None
    articles: bool = False

    def __call__(self, *, outputs: Any, expectations: Any) -> bool | None:
        """Judge."""
        wanted = expected(expectations, self.key)
        return None if wanted is None else self._plain(text_of(outputs, self.field)) == self._plain(text_of(wanted))

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
        if not self.articles:
            text = _ARTICLES.sub(" ", text)
        return " ".join(text.split())


class Contains(Scorer):
    """Whether the outputs contain what is expected: a text, or every text of a list.

    Args:
        key: Where in `expectations` that is.
        field: Where in `outputs` the answer is, if they are a dict.
        texts: What is expected of every row, instead.
        case_sensitive: Whether case counts.
        name: What the results are called.
    """

    name = "contains"
    revision = 1
    key: str = EXPECTED
    field: str | None = None
    texts: tuple[str, ...] | list[str] | str | None = None
    case_sensitive: bool = False

    def __call__(self, *, outputs: Any, expectations: Any) -> Feedback | None:
        """Judge."""
        wanted = expected(expectations, self.key) if self.texts is None else self.texts
        if wanted is None:
            return None
        texts = [text_of(one) for one in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        fold = (lambda text: text) if self.case_sensitive else str.casefold
        found = fold(text_of(outputs, self.field))
        missing = [text for text in texts if fold(text) not in found]
        return Feedback(value=not missing, rationale=f"missing: {', '.join(missing)}" if missing else None)


class RegexMatch(Scorer):
    """Whether the outputs match a pattern.

    Args:
        pattern: The regular expression.
        match_type: `search` (anywhere in the outputs) or `fullmatch` (all of them).
        case_insensitive: Whether case does not count.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.

    Raises:
        ValueError: The pattern is no regular expression, or there is no such match type.
    """

    name = "regex_match"
    revision = 1
    pattern: str
    match_type: str = "search"
    case_insensitive: bool = False
    field: str | None = None

    def __init__(self, pattern: str, **fields: Any) -> None:
        super().__init__(pattern=pattern, **fields)
        if self.match_type not in ("search", "fullmatch"):
            raise ValueError(f"match_type is {self.match_type!r}: pass 'search' or 'fullmatch'")
        try:
            self._compiled = re.compile(pattern, re.IGNORECASE if self.case_insensitive else 0)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}") from None

    def __call__(self, *, outputs: Any) -> bool:
        """Judge."""
        match = self._compiled.search if self.match_type == "search" else self._compiled.fullmatch
        return match(text_of(outputs, self.field)) is not None


class ResponseLength(Scorer):
    """Whether the outputs are of a length, both ends included.

    Args:
        min_length: At least so long.
        max_length: At most so long.
        unit: `chars` or `words`.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.

    Raises:
        ValueError: Neither length is given, or there is no such unit.
    """

    name = "response_length"
    revision = 1
    min_length: int | None = None
    max_length: int | None = None
    unit: str = "chars"
    field: str | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if self.min_length is None and self.max_length is None:
            raise ValueError("pass min_length, max_length or both")
        if self.unit not in ("chars", "words"):
            raise ValueError(f"unit is {self.unit!r}: pass 'chars' or 'words'")

    def __call__(self, *, outputs: Any) -> Feedback:
        """Judge."""
        text = text_of(outputs, self.field)
        length = len(text) if self.unit == "chars" else len(text.split())
        long_enough = self.min_length is None or length >= self.min_length
        short_enough = self.max_length is None or length <= self.max_length
        return Feedback(value=long_enough and short_enough, rationale=f"{length} {self.unit}")
