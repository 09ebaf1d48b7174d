# SPDX-License-Identifier: Apache-2.0
"""The model behind a judge: any callable, an agent of pydantic-ai, or the name of a model at an address.

A model that is named is asked over the chat completions that OpenAI defined and most servers offer. Each such question
is a span with the model, its tokens and its errors, in a trace of its own: what judging costs is seen, and is never the
judged version's.
"""

import json
import os
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_loggedmodel.uninstrumented import uninstrumented
from otel_loggedmodel.version import __version__

Model = Callable[[str], str | Awaitable[str]]

_OPENAI: Final = "https://api.openai.com/v1"
_OF_DATABRICKS: Final = frozenset({"databricks", "endpoints", "gateway"})
_TIMEOUT_SECONDS: Final = 120.0
_TRIES: Final = 3
_FIRST_WAIT_SECONDS: Final = 1.0
_STATUSES_THAT_PASS: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
_MAX_WORDS: Final = 300


class JudgeModelError(RuntimeError):
    """The model did not answer, or not with a text."""


def model_of(model: Any, name: str = "the judge") -> Model:
    """The callable that asks a model, in whatever form the model was given.

    Args:
        model: A function that takes a prompt and returns a text, sync or async; an object with `run_sync`, as agents of
            pydantic-ai have it; or a text: `openai:/gpt-4o-mini` (asked at OPENAI_BASE_URL with OPENAI_API_KEY),
            `http://localhost:8000/v1#my-model` (another server), or any other `provider:/model` for LiteLLM, which has
            to be installed.
        name: The judge's name, for error messages.

    Raises:
        TypeError: It is none of these.
        ValueError: No model is named, or its name has another form.
        ImportError: LiteLLM is needed and not installed.
    """
    if model is None:
        raise ValueError(
            f"{name} needs a model: pass model=..., a function that takes a prompt and returns a text, "
            "'openai:/gpt-4o-mini', or 'http://host:port/v1#model'"
        )
    if isinstance(model, str):
        return _named(model, name)
    if callable(getattr(model, "run_sync", None)):
        return _Agent(model)
    if callable(model):
        return model  # type: ignore[no-any-return]
    raise TypeError(
        f"model of {name} is {type(model).__name__}: pass a function that takes a prompt and returns a text"
    )


def name_of(model: Any) -> dict[str, str]:
    """The name of a model that is no function of the user's, as a parameter of `Judge`: it tells such judges apart."""
    if isinstance(model, str):
        return {"model_name": model}
    return {"model_name": _Agent(model).__name__} if callable(getattr(model, "run_sync", None)) else {}


def _named(text: str, name: str) -> Model:
    if text.startswith(("http://", "https://")):
        address, _, model = text.partition("#")
        if not model:
            raise ValueError(f"model of {name} is {text!r}: write which model after a #, as in {text}#my-model")
        return ChatModel(model, address)
    provider, separator, model = text.partition(":/")
    if provider in _OF_DATABRICKS and not (provider == "databricks" and separator):
        raise ValueError(
            f"model of {name} is {text!r}, which MLflow asks by Databricks: name an endpoint there, "
            "'https://HOST/serving-endpoints#ENDPOINT', with its token as OPENAI_API_KEY, or pass a function as model"
        )
    model = model.lstrip("/")
    if not separator or not provider or not model:
        raise ValueError(f"model of {name} is {text!r}: write provider:/model, as in 'openai:/gpt-4o-mini'")
    if provider == "openai":
        return ChatModel(model, os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI)
    try:
        import litellm  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ImportError(
            f"models of {provider} are asked by LiteLLM: pip install litellm, or pass a function as model"
        ) from None

    def ask(prompt: str) -> str:
        answer = litellm.completion(model=f"{provider}/{model}", messages=[{"role": "user", "content": prompt}])
        return str(answer.choices[0].message.content)

    ask.__name__ = model
    return ask


class _Agent:
    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self.__name__ = str(getattr(agent, "name", None) or type(agent).__name__)

    def __call__(self, prompt: str) -> str:
        found = self._agent.run_sync(prompt)
        return str(getattr(found, "output", getattr(found, "data", found)))


class ChatModel:
    """A model that is asked by chat completions.

    Args:
        model: Its name.
        address: The server's URL, up to `/v1`.
        api_key: What it wants to see; by default OPENAI_API_KEY.
        timeout: Seconds that an answer may take.
        sleep: Waits between tries; for tests.
    """

    def __init__(
        self,
        model: str,
        address: str = _OPENAI,
        api_key: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model = model
        self.address = address.rstrip("/")
        self.__name__ = model
        self._api_key = api_key
        self._timeout = timeout
        self._sleep = sleep

    def __call__(self, prompt: str) -> str:
        """Ask, and again if the server is busy.

        Raises:
            JudgeModelError: It did not answer.
        """
        parts = urllib.parse.urlsplit(self.address)
        tracer = trace_api.get_tracer("otel_loggedmodel.genai.judges", __version__)
        asked: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": self.model,
            "server.address": parts.hostname or "",
        }
        with tracer.start_as_current_span(
            f"chat {self.model}", kind=SpanKind.CLIENT, attributes=asked, record_exception=False
        ) as span:
            try:
                answer = self._answer({"model": self.model, "messages": [{"role": "user", "content": prompt}]})
                usage = answer.get("usage") or {}
                for attribute, key in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
                    if isinstance(usage.get(key), int):
                        span.set_attribute(f"gen_ai.usage.{attribute}", usage[key])
                span.set_attribute("gen_ai.response.model", str(answer.get("model") or self.model))
                return str(answer["choices"][0]["message"]["content"])
            except JudgeModelError as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, str(error)))
                raise
            except (KeyError, IndexError, TypeError):
                raise JudgeModelError(f"{self.address} answered something that is no chat completion") from None

    def _answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for tries_left in reversed(range(_TRIES)):
            status, content = self._posted(json.dumps(body).encode())
            if status == 200:
                try:
                    found = json.loads(content)
                except ValueError:
                    found = None
                if isinstance(found, dict):
                    return found
                raise JudgeModelError(f"{self.address} answered something that is not JSON")
            if status not in _STATUSES_THAT_PASS or not tries_left:
                raise JudgeModelError(
                    f"{self.address} answered {status}: {content[:_MAX_WORDS].decode(errors='replace')}"
                )
            self._sleep(_FIRST_WAIT_SECONDS * 2 ** (_TRIES - 1 - tries_left))
        raise AssertionError("unreachable")

    def _posted(self, body: bytes) -> tuple[int, bytes]:
        import requests

        key = self._api_key or os.environ.get("OPENAI_API_KEY", "").strip()
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        try:
            with uninstrumented():
                response = requests.post(
                    f"{self.address}/chat/completions",
                    data=body,
                    headers=headers,
                    timeout=(10.0, self._timeout),
                    allow_redirects=False,
                )
                return response.status_code, response.content
        except requests.exceptions.RequestException as error:
            return 503, f"it cannot be reached: {type(error).__name__}".encode()
