# SPDX-License-Identifier: Apache-2.0
"""A support agent: answers questions from help articles. An ordinary FastAPI service with OpenTelemetry set up.

    SUPPORT_RELEASE=v1 python -m uvicorn --factory app:create_app

runs one version. Without SUPPORT_RELEASE one process serves both, each request by the one that its header `X-Release`
names.
What is there for version tracking is marked with "version".
"""

import os
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import retrieval
import stand_in
from fastapi import FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import otel_loggedmodel
import versions

ARTICLES: Final = retrieval.Index(Path(__file__).with_name("articles.md"))


class Question(BaseModel):
    """What is asked, and in which conversation."""

    text: str
    conversation: str


class Answer(BaseModel):
    """What is answered, from which articles."""

    text: str
    sources: list[str]


def create_app() -> FastAPI:
    """The application; called once in each server process."""
    provider = TracerProvider(resource=Resource.create({"process.pid": os.getpid()}))
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())  # version: stamps spans
    provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter()))  # version: delivers records
    trace.set_tracer_provider(provider)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        provider.shutdown()  # sends what is still queued

    app = FastAPI(title="Ternbox support agent", lifespan=lifespan)
    app.post("/ask")(ask)
    app.get("/health")(health)
    release = os.environ.get("SUPPORT_RELEASE")
    if release is None:
        app.add_middleware(RouteByHeader, models={release: versions.create(release) for release in versions.RELEASES})
    else:
        # Those that came before are older, whichever process starts first.
        for earlier in versions.RELEASES[: versions.RELEASES.index(release)]:
            versions.made(earlier)
        model = versions.create(release)
        otel_loggedmodel.set_active_model(model_id=model.model_id)  # version: of the whole process
    FastAPIInstrumentor.instrument_app(app, excluded_urls="health")
    return app


class RouteByHeader:
    """Serves each request with the version that its header `X-Release` names."""

    def __init__(self, app: ASGIApp, models: Mapping[str, otel_loggedmodel.LoggedModel]) -> None:
        self._app = app
        self._models = models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        model = self._models.get(Headers(scope=scope).get("x-release", "v1"))
        if model is None:
            refusal = JSONResponse({"detail": f"X-Release is none of {', '.join(self._models)}"}, status_code=400)
            await refusal(scope, receive, send)
            return
        with otel_loggedmodel.use_model(model):  # version: of this request alone
            await self._app(scope, receive, send)


async def ask(question: Question) -> Answer:
    """Answer a question, as the active version's params say, and score the answer."""
    trace.get_current_span().set_attribute("gen_ai.conversation.id", question.conversation)
    params = otel_loggedmodel.get_logged_model(otel_loggedmodel.get_active_model_id() or "").params
    found = ARTICLES.search(question.text, k=int(params["retrieval_k"]))
    prompt = stand_in.Prompt(
        instructions=params["prompt"],
        articles="\n".join(f"[{article.title}] {article.text}" for article in found),
        question=question.text,
    )
    try:
        text = await stand_in.chat(
            prompt,
            model=params["llm_model"],
            temperature=float(params["temperature"]),
            max_tokens=int(params["max_tokens"]),
            seed=zlib.crc32(f"{question.conversation} {question.text}".encode()),
        )
    except stand_in.OverloadedError as error:
        raise HTTPException(503, "The agent is overloaded. Please ask again.") from error
    score("names_sources", float(any(article.title in text for article in found)))
    asked = set(retrieval.words(question.text))
    score("on_topic", len(asked & set(retrieval.words(text))) / max(len(asked), 1))
    return Answer(text=text, sources=[article.title for article in found])


def score(name: str, value: float) -> None:
    """Say how good the answer is: an event in OpenTelemetry's GenAI conventions, on the span of the request."""
    trace.get_current_span().add_event(
        "gen_ai.evaluation.result",
        {
            "gen_ai.evaluation.name": name,
            "gen_ai.evaluation.score.value": value,
            "logged_model.evaluation.source": "code",
        },
    )


async def health() -> dict[str, int]:
    """Which process this is."""
    return {"pid": os.getpid()}
