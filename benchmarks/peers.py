# SPDX-License-Identifier: Apache-2.0
"""Other libraries that do a similar thing, set up so that they reach no network. Each may be missing."""

import contextlib
import importlib
import logging
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, cast

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from benchmarks.spans import NullExporter


class Unavailable(Exception):
    """A library cannot be measured here; says why."""


def baggage_processor() -> SpanProcessor:
    """The processor of opentelemetry-python-contrib that copies baggage entries onto spans.

    Raises:
        Unavailable: It is not installed.
    """
    module = _imported("opentelemetry.processor.baggage", "opentelemetry-processor-baggage")
    return cast(SpanProcessor, module.BaggageSpanProcessor(module.ALLOW_ALL_BAGGAGE_KEYS))


def langfuse_processor() -> SpanProcessor:
    """Langfuse's span processor, with an exporter that sends nothing.

    Raises:
        Unavailable: It is not installed, or not as we know it.
    """
    module = _imported("langfuse._client.span_processor", "langfuse")
    try:
        processor = module.LangfuseSpanProcessor(
            public_key="pk-lf-none",
            secret_key="sk-lf-none",
            base_url="http://localhost:9",
            span_exporter=NullExporter(),
        )
    except (AttributeError, TypeError) as error:
        raise Unavailable(f"this version of it is set up in another way: {error}") from None
    return cast(SpanProcessor, processor)


def with_langfuse_version(context: Context, version: str) -> Context:
    """The context with a version that Langfuse stamps on the spans below it."""
    token = context_api.attach(context)
    try:
        with _imported("langfuse", "langfuse").propagate_attributes(version=version):
            return context_api.get_current()
    finally:
        context_api.detach(token)


@contextlib.contextmanager
def mlflow_with_active_model(name: str) -> Iterator[Any]:
    """MLflow with an active model, on a SQLite file and without a server.

    Raises:
        Unavailable: It is not installed.
    """
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = _imported("mlflow", "mlflow")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        mlflow.set_tracking_uri(f"sqlite:///{pathlib.Path(folder) / 'mlflow.db'}")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("benchmark", artifact_location=folder))
        mlflow.set_active_model(name=name)
        yield mlflow
        mlflow.flush_trace_async_logging()


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"{package} cannot be imported: {error}") from None
