# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a language model, so that the demo needs neither a network nor a key. It is not one.

It copies fitting sentences out of its prompt, takes some time over it, and fails now and then. Its spans are those that
an instrumented client of a real model makes, in OpenTelemetry's GenAI conventions. They name the model that is stood in
for, which gives its tokens a price, and a provider that does not exist. Tokens are the words and punctuation marks of
the texts. Times, failures and answers follow from the seed alone, and say nothing of any real model.
"""

import asyncio
import json
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
    """How the stand-in behaves: seconds to its first token and for each one, and how often it fails."""

    first_token_seconds: float
    token_seconds: float
    failure_rate: float


PROFILES: Final = {
    "gpt-4.1-mini": Profile(first_token_seconds=0.030, token_seconds=0.0008, failure_rate=0.15),
    "gpt-4.1": Profile(first_token_seconds=0.045, token_seconds=0.0012, failure_rate=0.02),
}


@dataclass(frozen=True)
class Prompt:
    """What a language model is asked."""

    instructions: str
    articles: str
    question: str


@dataclass(frozen=True)
class Completion:
    """What a language model answers.

    Attributes:
        text: The answer; None where it failed.
        finish_reason: Why it ended.
        input_tokens: Of the prompt.
        output_tokens: Of the answer.
        seconds: How long it takes.
    """

    text: str | None
    finish_reason: str
    input_tokens: int
    output_tokens: int
    seconds: float


class OverloadedError(Exception):
    """What a provider says when it has too much to do."""


async def chat(prompt: Prompt, *, model: str, temperature: float, max_tokens: int, seed: int) -> str:
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
                "gen_ai.input.messages": _messages(
                    system=f"{prompt.instructions}\n\n{prompt.articles}", user=prompt.question
                ),
            }
        )
        completion = complete(prompt, model=model, temperature=temperature, max_tokens=max_tokens, seed=seed)
        await asyncio.sleep(completion.seconds)
        if completion.text is None:
            span.set_attribute("error.type", completion.finish_reason)
            raise OverloadedError(f"{model} is {completion.finish_reason} (a failure that is part of the demo)")
        span.set_attributes(
            {
                "gen_ai.response.model": model,
                "gen_ai.response.finish_reasons": [completion.finish_reason],
                "gen_ai.usage.input_tokens": completion.input_tokens,
                "gen_ai.usage.output_tokens": completion.output_tokens,
                "gen_ai.output.messages": _messages(assistant=completion.text),
            }
        )
        return completion.text


def _messages(**texts: str) -> str:
    """Messages by their roles, as the conventions write them."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in texts.items()])


def complete(prompt: Prompt, *, model: str, temperature: float, max_tokens: int, seed: int) -> Completion:
    """What becomes of a question; the same for the same arguments."""
    profile = PROFILES[model]
    chance = random.Random(f"{model} {seed}")  # noqa: S311 - repeatable on purpose
    slowness = chance.lognormvariate(0, 0.35)
    if chance.random() < profile.failure_rate:
        return Completion(None, "overloaded", 0, 0, profile.first_token_seconds * slowness)
    text = _compose(prompt, temperature, chance)
    tokens = _count_tokens(text)
    produced = min(tokens, max_tokens)
    return Completion(
        text=text,
        finish_reason="length" if tokens > max_tokens else "stop",
        input_tokens=_count_tokens(prompt.instructions + prompt.articles + prompt.question),
        output_tokens=produced,
        seconds=(profile.first_token_seconds + profile.token_seconds * produced) * slowness,
    )


def _count_tokens(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def _compose(prompt: Prompt, temperature: float, chance: random.Random) -> str:
    """As many sentences as the instructions ask for: those that share most with the question, or nearly so."""
    sentences = [
        (title, sentence)
        for title, text in re.findall(r"^\[(.+?)\] (.+)$", prompt.articles, re.MULTILINE)
        for sentence in re.split(r"(?<=[.?!]) ", text)
    ]
    if not sentences:
        return "The articles do not say."
    asked = set(words(prompt.question))
    fits = [len(asked & set(words(f"{title} {sentence}"))) for title, sentence in sentences]
    number = next((_NUMBERS[word] for word in re.findall(r"\w+", prompt.instructions) if word in _NUMBERS), 1)
    # A higher temperature picks a sentence that fits less more often, as sampling from a model does.
    ranked = sorted(
        range(len(sentences)),
        key=lambda place: fits[place] - temperature * math.log(1 / (chance.random() or 1e-9)),
        reverse=True,
    )
    chosen = [sentences[place] for place in sorted(ranked[:number])]
    answer = " ".join(sentence for _, sentence in chosen)
    if "name them" in prompt.instructions:
        answer += " See: " + ", ".join(dict.fromkeys(title for title, _ in chosen)) + "."
    return answer
