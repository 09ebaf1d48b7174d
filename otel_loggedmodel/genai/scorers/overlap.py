# SPDX-License-Identifier: Apache-2.0
"""Scorers of how much of a reference text is in the outputs: ROUGE-L, BLEU, and the similarity of embeddings."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from otel_loggedmodel.genai.scorers._values import EXPECTED, expected, needs, text_of
from otel_loggedmodel.genai.scoring import Scorer


class RougeL(Scorer):
    """ROUGE-L, the F-measure of the longest common subsequence of words, 0 to 1, as `rouge-score` has it.

    Args:
        stem: Whether words count by their stem, of English.
        key: Where in `expectations` the reference is.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.

    Raises:
        ImportError: `rouge-score` is not installed.
    """

    name = "rouge_l"
    revision = 1
    stem: bool = False
    key: str = EXPECTED
    field: str | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError as error:
            raise needs("rouge-score", error) from None
        self._rouge = RougeScorer(["rougeL"], use_stemmer=self.stem)

    def __call__(self, *, outputs: Any, expectations: Any) -> float | None:
        """Judge."""
        wanted = expected(expectations, self.key)
        if wanted is None:
            return None
        return float(self._rouge.score(text_of(wanted), text_of(outputs, self.field))["rougeL"].fmeasure)


class Bleu(Scorer):
    """BLEU of one sentence, 0 to 1, as `sacrebleu` has it: its tokenizer, and smoothing of counts that are 0.

    Args:
        key: Where in `expectations` the reference, or a list of them, is.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.

    Raises:
        ImportError: `sacrebleu` is not installed.
    """

    name = "bleu"
    revision = 1
    key: str = EXPECTED
    field: str | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        try:
            from sacrebleu.metrics.bleu import BLEU
        except ImportError as error:
            raise needs("sacrebleu", error) from None
        self._bleu = BLEU(effective_order=True)

    def __call__(self, *, outputs: Any, expectations: Any) -> float | None:
        """Judge."""
        wanted = expected(expectations, self.key)
        if wanted is None:
            return None
        references = [text_of(one) for one in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        return float(self._bleu.sentence_score(text_of(outputs, self.field), references).score) / 100


class EmbeddingSimilarity(Scorer):
    """The cosine of the embeddings of the outputs and of what is expected, -1 to 1.

    Args:
        embed: Gives the embeddings of a list of texts, as lists of numbers or as an array.
        key: Where in `expectations` the reference is.
        field: Where in `outputs` the answer is, if they are a dict.
        name: What the results are called.
    """

    name = "embedding_similarity"
    revision = 1
    embed: Callable[[list[str]], Sequence[Sequence[float]]]
    key: str = EXPECTED
    field: str | None = None

    def __init__(self, embed: Callable[[list[str]], Sequence[Sequence[float]]], **fields: Any) -> None:
        super().__init__(embed=embed, **fields)

    def __call__(self, *, outputs: Any, expectations: Any) -> float | None:
        """Judge."""
        wanted = expected(expectations, self.key)
        if wanted is None:
            return None
        first, second = self.embed([text_of(outputs, self.field), text_of(wanted)])
        length = math.sqrt(sum(x * x for x in first)) * math.sqrt(sum(x * x for x in second))
        return float(sum(x * y for x, y in zip(first, second, strict=True)) / length) if length else 0.0
