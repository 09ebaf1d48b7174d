# SPDX-License-Identifier: Apache-2.0
"""Finding the articles that a question is about: BM25 over a file of help articles."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opentelemetry import trace

_COMMON_WORDS: Final = (
    "a an and are as at be by can do does for from get have how i in is it me my of on or our that the this to us "
    "was we what when where which who why will with you your"
)
# They are in most questions and say nothing about their subject.
_STOP_WORDS: Final = frozenset(_COMMON_WORDS.split())
# The usual constants: how soon repetition of a word saturates, and how much long articles are discounted.
# Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
_K1: Final = 1.5
_B: Final = 0.75

_tracer: Final = trace.get_tracer("ternbox.retrieval")


@dataclass(frozen=True)
class Article:
    """A help article."""

    title: str
    text: str


class Index:
    """Articles, ready to be searched."""

    def __init__(self, path: Path) -> None:
        sections = path.read_text(encoding="utf-8").split("\n## ")[1:]
        self.name = path.stem
        self.articles = [
            Article(title, " ".join(text.split())) for title, _, text in (s.partition("\n") for s in sections)
        ]
        # A word in the title says more about an article than one in its text.
        self._counts = [Counter(words(f"{article.title} " * 2 + article.text)) for article in self.articles]
        self._mean_length = sum(counts.total() for counts in self._counts) / len(self._counts)
        self._found_in = Counter(word for counts in self._counts for word in counts)

    def search(self, query: str, k: int) -> list[Article]:
        """The k articles that fit a query best, best first, with a span that says what was found."""
        with _tracer.start_as_current_span(f"retrieval {self.name}", kind=trace.SpanKind.CLIENT) as span:
            scores = [self._score(query, counts) for counts in self._counts]
            best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:k]
            found = [self.articles[position] for position in best if scores[position] > 0]
            documents = [(self.articles[position].title, round(scores[position], 3)) for position in best]
            span.set_attributes(
                {
                    "gen_ai.operation.name": "retrieval",
                    "gen_ai.data_source.id": self.name,
                    "gen_ai.retrieval.query.text": query,
                    "gen_ai.retrieval.documents": json.dumps(
                        [{"id": title, "score": score} for title, score in documents]
                    ),
                    # The same in OpenInference's words, for viewers that know these.
                    "openinference.span.kind": "RETRIEVER",
                    "input.value": query,
                }
            )
            for number, (title, score) in enumerate(documents):
                span.set_attribute(f"retrieval.documents.{number}.document.id", title)
                span.set_attribute(f"retrieval.documents.{number}.document.score", score)
            return found

    def _score(self, query: str, counts: Counter[str]) -> float:
        score = 0.0
        for word in set(words(query)) & counts.keys():
            rarity = math.log(1 + (len(self._counts) - self._found_in[word] + 0.5) / (self._found_in[word] + 0.5))
            length = 1 - _B + _B * counts.total() / self._mean_length
            score += rarity * counts[word] * (_K1 + 1) / (counts[word] + _K1 * length)
        return score


def words(text: str) -> list[str]:
    """The words of a text that say what it is about, without plural endings."""
    found = re.findall(r"[a-z0-9]+(?:-[a-z]+)?", text.lower())
    return [re.sub(r"(?<=[^s]{3})s$", "", word) for word in found if word not in _STOP_WORDS]
