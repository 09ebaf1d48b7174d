# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a language model, so that the demo needs neither a network nor a key. It is not one.

It copies fitting sentences out of its prompt, takes some time over it, and fails now and then. Its spans are those that
an instrumented client of a real model makes, in OpenTelemetry's GenAI conventions, and say that they are a stand-in's.
Times, failures and answers follow from the seed alone.
"""

import asyncio
import math
import random
import re
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from retrieval import words

_tracer: Final = trace.get_tracer("ternbox.stand_in_llm")
_NUMBERS: Final = {"one": 1, "two": 2, "three": 3}


@dataclass(frozen=True)
class Profile:
    """How a model that does not exist behaves: seconds to its first token and for each one, and how often it fails."""

    first_token_seconds: float
    token_seconds: float
    failure_rate: float


PROFILES: Final = {
    "stand-in-small": Profile(first_token_seconds=0.030, token_seconds=0.0008, failure_rate=0.15),
    "stand-in-large": Profile(first_token_seconds=0.045, token_seconds=0.0012, failure_rate=0.02),
}


@dataclass(frozen=True)
class Completion:
    """What a language model answers."""

    text: str
    finish_reason: str


class OverloadedError(Exception):
    """What a provider says when it has too much to do."""


async def chat(
    *, model: str, instructions: str, articles: str, question: str, temperature: float, max_tokens: int, seed: int
) -> Completion:
    """Answer a question.

    Raises:
        OverloadedError: The failure that is planted to have something to compare.
    """
    with _tracer.start_as_current_span(f"chat {model}", kind=trace.SpanKind.CLIENT) as span:
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "ternbox.stand_in",
                "gen_ai.request.model": model,
                "gen_ai.request.temperature": temperature,
                "gen_ai.request.max_tokens": max_tokens,
                "gen_ai.request.seed": seed,
                "ternbox.stand_in": True,  # no language model was called
                "openinference.span.kind": "LLM",
            }
        )
        profile = PROFILES[model]
        chance = random.Random(f"{model} {seed}")  # noqa: S311 - repeatable on purpose
        slowness = chance.lognormvariate(0, 0.35)
        if chance.random() < profile.failure_rate:
            await asyncio.sleep(profile.first_token_seconds * slowness)
            span.set_attribute("error.type", "overloaded")
            raise OverloadedError(f"{model} is overloaded (a failure that is part of the demo)")
        answer = _compose(instructions, articles, question, temperature, chance)
        tokens = re.findall(r"\w+|[^\w\s]", answer)
        completion = Completion(answer, "length" if len(tokens) > max_tokens else "stop")
        produced = min(len(tokens), max_tokens)
        await asyncio.sleep((profile.first_token_seconds + profile.token_seconds * produced) * slowness)
        span.set_attributes(
            {
                "gen_ai.response.model": f"{model}-2026-10-01",
                "gen_ai.response.finish_reasons": [completion.finish_reason],
                "gen_ai.usage.input_tokens": len(re.findall(r"\w+|[^\w\s]", instructions + articles + question)),
                "gen_ai.usage.output_tokens": produced,
            }
        )
        return completion


def _compose(instructions: str, articles: str, question: str, temperature: float, chance: random.Random) -> str:
    """As many sentences as the instructions ask for: those that share most with the question, or nearly so."""
    sentences = [
        (title, sentence)
        for title, text in re.findall(r"^\[(.+?)\] (.+)$", articles, re.MULTILINE)
        for sentence in re.split(r"(?<=[.?!]) ", text)
    ]
    if not sentences:
        return "The articles do not say."
    asked = set(words(question))
    fits = [len(asked & set(words(f"{title} {sentence}"))) for title, sentence in sentences]
    number = next((_NUMBERS[word] for word in re.findall(r"\w+", instructions) if word in _NUMBERS), 1)
    # A higher temperature picks a sentence that fits less more often, as sampling from a model does.
    ranked = sorted(
        range(len(sentences)),
        key=lambda place: fits[place] - temperature * math.log(1 / (chance.random() or 1e-9)),
        reverse=True,
    )
    chosen = [sentences[place] for place in sorted(ranked[:number])]
    answer = " ".join(sentence for _, sentence in chosen)
    if "name them" in instructions:
        answer += " See: " + ", ".join(dict.fromkeys(title for title, _ in chosen)) + "."
    return answer
