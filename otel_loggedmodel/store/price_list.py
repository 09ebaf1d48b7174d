# SPDX-License-Identifier: Apache-2.0
"""List prices, of the package `genai-prices`: which model is meant, what it costs, and when that changes.

The prices are in the package, so that nothing is looked up on the network; upgrading it brings newer ones. A model on a
server of one's own has no list price, as lists are of what others ask. A server in a private network is taken for one's
own, unless only the model's makers serve that model: then it is a gateway to them.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final

from otel_loggedmodel.store.prices import KINDS, Called, Prices, Schedule

_TOKENS_PER_PRICE: Final = 1_000_000
_REQUESTS_PER_PRICE: Final = 1000

# Names of providers as instrumentations write them, where the package calls them something else.
_PROVIDERS: Final = {
    **dict.fromkeys(
        ("azure.ai.openai", "azure.ai.inference", "az.ai.openai", "az.ai.inference", "azure_openai"), "azure"
    ),
    **dict.fromkeys(("azure_ai", "azureopenai"), "azure"),
    **dict.fromkeys(("aws.bedrock", "bedrock", "aws_bedrock", "amazon_bedrock", "bedrock_converse", "amazon"), "aws"),
    **dict.fromkeys(("gcp.gemini", "gcp.gen_ai", "gemini", "google_genai", "google-gla", "models"), "google"),
    **dict.fromkeys(("gcp.vertex_ai", "vertex_ai", "vertexai", "google_vertexai", "google-vertex", "vertex"), "google"),
    **dict.fromkeys(("google_ai_studio", "google.generative-ai", "google.vertex", "googleai"), "google"),
    **dict.fromkeys(("mistral_ai", "mistralai"), "mistral"),
    **dict.fromkeys(("x_ai", "xai"), "x-ai"),
    **dict.fromkeys(("moonshot_ai", "moonshot"), "moonshotai"),
    **dict.fromkeys(("openai_chat", "text-completion-openai", "open_ai"), "openai"),
    **dict.fromkeys(("azure_open_ai", "microsoft_foundry"), "azure"),
    **dict.fromkeys(("google_ai_gemini", "google_vertex_ai_gemini", "google_vertex_ai_anthropic"), "google"),
    "voyage_ai": "voyageai",
}
# Software that serves models on machines of one's own.
_SELF_HOSTED: Final = frozenset(
    (
        *("ollama", "ollama_chat", "hosted_vllm", "vllm", "llamacpp", "llama.cpp", "llama_cpp", "llamafile"),
        *("lmstudio", "lm_studio", "localai", "local", "gpt4all", "tgi", "text-generation-inference", "sglang"),
        *("xinference", "mlx"),
    )
)
# Providers whose models nobody else serves, apart from `_OPEN_MODELS`.
_CLOSED: Final = frozenset(("openai", "azure", "anthropic", "google", "x-ai", "aws"))
# Makers whose models are looked for, in this order, if nothing says who serves the model.
_MAKERS: Final = ("openai", "anthropic", "google", "mistral", "cohere", "voyageai")
_OPEN_MODELS: Final = ("gpt-oss", "gemma", "whisper")


def schedule_of(called: Called) -> Schedule | None:
    """The prices of a model by time, if there are any."""
    found = _found(called)
    return None if found is None else _Listed(found)


def warm_up() -> None:
    """Load the prices, which takes a quarter of a second."""
    _found(Called("openai", "gpt-4o"))


@dataclass(frozen=True)
class _Listed(Schedule):
    model: Any

    def at(self, when: datetime) -> tuple[Prices, ...]:
        return _tiers(self.model.get_prices(when))

    def dates(self) -> frozenset[datetime]:
        return frozenset(
            datetime.combine(start, datetime.min.time(), tzinfo=timezone.utc)
            for constraint in self._constraints()
            if (start := getattr(constraint, "start_date", None)) is not None
        )

    def times(self) -> frozenset[int]:
        return frozenset(
            time.hour * 3600 + time.minute * 60 + time.second
            for constraint in self._constraints()
            for name in ("start_time", "end_time")
            if (time := getattr(constraint, name, None)) is not None
        )

    def _constraints(self) -> Iterator[Any]:
        prices = self.model.prices
        for conditional in prices if isinstance(prices, list) else ():
            if conditional.constraint is not None:
                yield conditional.constraint


@functools.lru_cache(maxsize=4096)
def _found(called: Called) -> Any | None:
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    for provider, model in _candidates(called):
        if provider in _SELF_HOSTED:
            return None
        if called.is_local and (provider not in {"", *_CLOSED} or any(name in model for name in _OPEN_MODELS)):
            continue
        try:
            owner, found = snapshot.find_provider_model(model, None, provider or None, None)
        except LookupError:
            continue
        if not called.is_local or owner.id in _CLOSED:
            return found
    return None


def _candidates(called: Called) -> Iterator[tuple[str, str]]:
    """Provider and model in the order in which they are looked for: that of the provider first, then anybody's."""
    stated = _provider(called.provider)
    models = [model for model in dict.fromkeys((called.model, called.asked)) if model]
    for provider in dict.fromkeys((stated, called.provider.lower())):
        if provider:
            yield from ((provider, model) for model in models)
    for model in models:
        for separator in ("/", ":"):
            prefix, found, rest = model.partition(separator)
            if found and rest and (separator == "/" or _is_provider(prefix)):
                yield _provider(prefix), rest
                yield stated, rest
    for model in models:
        yield "", model
        if "/" in model:
            yield "", model.rpartition("/")[2]
    if not stated:
        yield from ((maker, model) for model in models for maker in _MAKERS)


def _provider(name: str) -> str:
    name = name.lower()
    return _PROVIDERS.get(name) or _PROVIDERS.get(name.partition(".")[0]) or name.partition(".")[0]


@functools.cache
def _is_provider(name: str) -> bool:
    from genai_prices import data

    known = {provider.id for provider in data.providers} | _SELF_HOSTED | set(_PROVIDERS)
    return name.lower() in known


def _tiers(price: Any) -> tuple[Prices, ...]:
    def said(name: str, otherwise: Any = None) -> Any:
        value = getattr(price, name, None)
        return otherwise if value is None else value

    plain_in, plain_out = said("input_mtok"), said("output_mtok")
    by_kind = {
        "input": plain_in,
        "cache_read": said("cache_read_mtok", plain_in),
        "cache_write": said("cache_write_mtok", plain_in),
        "input_audio": said("input_audio_mtok", plain_in),
        "input_image": said("input_image_mtok", plain_in),
        "cache_read_audio": said("cache_audio_read_mtok", said("cache_read_mtok", plain_in)),
        "output": plain_out,
        "output_audio": said("output_audio_mtok", plain_out),
        "output_image": said("output_image_mtok", plain_out),
    }
    starts = {0}
    for value in by_kind.values():
        # A tier begins with the first token after its start.
        starts.update(tier.start + 1 for tier in getattr(value, "tiers", ()))
    request = float(said("requests_kcount", 0)) / _REQUESTS_PER_PRICE
    return tuple(
        Prices(
            start,
            request=request,
            reasoning=None,
            **{kind: _per_token(value, start) for kind, value in by_kind.items() if kind in KINDS},
        )
        for start in sorted(starts)
    )


def _per_token(value: Any, input_tokens: int) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, Decimal):
        reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
        value = reached[-1] if reached else value.base
    return float(value) / _TOKENS_PER_PRICE
