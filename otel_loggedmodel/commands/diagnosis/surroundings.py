# SPDX-License-Identifier: Apache-2.0
"""What can be said without sending anything: packages, environment variables, active version, zero-code set-up."""

import importlib.metadata
import logging
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from otel_loggedmodel import environment
from otel_loggedmodel.commands.diagnosis.reaching import CA_BUNDLES
from otel_loggedmodel.commands.diagnosis.steps import Outcome, Step
from otel_loggedmodel.presenting.texts import did_you_mean, without_secrets

_PACKAGES: Final = (
    "otel-loggedmodel",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-distro",
)
_SHOWN: Final = ("OTEL_", "MLFLOW_ACTIVE_MODEL_ID", "MLFLOW_EXPERIMENT_", "MLFLOW_RUN_ID")
_OTHERS: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "GRPC_PROXY", *CA_BUNDLES)
_SECRET_NAME: Final = re.compile(r"TOKEN$|PASSWORD|SECRET|API_?KEY|CREDENTIAL")
_OURS: Final = ("OTEL_LOGGEDMODEL_", "OTEL_EXPORTER_OTLP_")
_CERTIFICATES: Final = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
_EXPORTERS: Final = ("otlp", "otlp_proto_http", "otlp_proto_grpc", "loggedmodel")


def packages() -> Step:
    """Which packages are installed, in which versions."""
    versions = {name: _version(name) for name in _PACKAGES}
    details = [f"{name} {version or 'not installed'}" for name, version in versions.items()]
    return Step(
        name="packages",
        outcome=Outcome.OK,
        text=f"Python {platform.python_version()} with",
        details=details,
    )


def variables() -> list[Step]:
    """What the environment says, without secrets, and which variables keep spans from being sent."""
    names = sorted(name for name in os.environ if name.startswith(_SHOWN) or name.upper() in _OTHERS)
    lines = [f"{name}={_masked(name, os.environ[name])}" for name in names]
    text = "what is set of OpenTelemetry's and our variables:" if names else "nothing is set: the defaults apply"
    steps = [Step(name="environment", outcome=Outcome.OK, text=text, details=lines)]
    for name in names:
        if name.startswith(_OURS) and name not in _known():
            hint = did_you_mean(name, _known(), likeness=0.9)
            steps.append(_warning("environment", f"{name} is no variable that anything reads.", hint.strip()))
    return steps + _switches()


def active_version() -> Step:
    """Which version spans are stamped with if the code says nothing. Found out by stamping one."""
    from opentelemetry.sdk.trace import TracerProvider

    from otel_loggedmodel import attributes
    from otel_loggedmodel.processor import LoggedModelSpanProcessor

    with captured_warnings("otel_loggedmodel") as complaints:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(LoggedModelSpanProcessor())
        # It is not recording if OpenTelemetry is switched off.
        span = provider.get_tracer(__name__).start_span("otel-loggedmodel doctor")
        stamp = (getattr(span, "attributes", None) or {}).get(attributes.ID)
        provider.shutdown()
    if stamp is None:
        text = "none, as far as the environment goes"
        advice = (
            "Name one in the code with set_active_model(name=...), or set OTEL_LOGGEDMODEL_NAME; "
            "`otel-loggedmodel env VERSION` prints the lines for a version that exists."
        )
        return Step(name="active version", outcome=Outcome.WARNING, text=text, advice=advice, details=complaints)
    return Step(
        name="active version",
        outcome=Outcome.WARNING if complaints else Outcome.OK,
        text=f"{stamp}, from {_source_of_version()}",
        details=complaints,
    )


def zero_code() -> Step:
    """Whether `opentelemetry-instrument` would load this library."""
    name = "zero-code set-up"
    if not importlib.metadata.entry_points(group="opentelemetry_instrumentor", name="loggedmodel"):
        advice = "Install the distribution, not only its files: pip install otel-loggedmodel."
        return _warning(
            name, "the entry point is not installed, so that opentelemetry-instrument cannot find it", advice
        )
    disabled = [part.strip() for part in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    if "loggedmodel" in disabled or "*" in disabled:
        advice = (
            "Take it out of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, or register LoggedModelSpanProcessor in the code."
        )
        return _warning(name, "the instrumentation is disabled", advice)
    if _version("opentelemetry-distro") is None:
        text = "the instrumentation is there; opentelemetry-instrument, which comes with opentelemetry-distro, is not"
        return Step(name=name, outcome=Outcome.OK, text=text)
    return Step(name=name, outcome=Outcome.OK, text="opentelemetry-instrument loads the instrumentation")


def _masked(name: str, value: str) -> str:
    if name.endswith("_HEADERS"):
        keys = [part.partition("=")[0].strip() for part in value.split(",") if part.strip()]
        return ",".join(f"{key}=***" for key in keys)
    if _SECRET_NAME.search(name):
        return "***"
    return without_secrets(value)


@contextmanager
def captured_warnings(logger_name: str) -> Iterator[list[str]]:
    """Catches what a logger says meanwhile, so that it does not go to the terminal."""
    logger = logging.getLogger(logger_name)
    handler = _Collector()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.messages:
            self.messages.append(message)


def _switches() -> list[Step]:
    """Standard variables that switch tracing off."""
    steps = []
    if environment.is_sdk_disabled():
        steps.append(
            Step(
                name="environment",
                outcome=Outcome.FAILED,
                text="OTEL_SDK_DISABLED switches OpenTelemetry off",
                advice="Unset it.",
            )
        )
    exporters = [part.strip() for part in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
    if not set(exporters) & set(_EXPORTERS):
        text = (
            f"OTEL_TRACES_EXPORTER is {os.environ['OTEL_TRACES_EXPORTER']!r}: zero-code set-ups send nothing over OTLP"
        )
        steps.append(_warning("environment", text, "Set it to otlp, or unset it."))
    if os.environ.get("OTEL_TRACES_SAMPLER", "").strip().endswith("always_off"):
        steps.append(_warning("environment", "OTEL_TRACES_SAMPLER drops every span", "Unset it."))
    timeout = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or "10"
    )
    if re.fullmatch(r"\d{4,}", timeout.strip()):
        text = f"OTEL_EXPORTER_OTLP_TIMEOUT is {timeout}, which Python's exporters read as seconds"
        steps.append(_warning("environment", text, "Write 10 for ten seconds."))
    bundle = next(filter(os.environ.get, CA_BUNDLES), None)
    certificate = next(filter(os.environ.get, _CERTIFICATES), None)
    if bundle and certificate and environment.otlp_traces_protocol() != "grpc":
        text = f"{bundle} is set, and the exporter for HTTP prefers it to {certificate}"
        steps.append(
            _warning("environment", text, f"Unset {bundle} for the application, or add the certificate to it.")
        )
    return steps


def _source_of_version() -> str:
    for variable in (
        environment.OTEL_LOGGEDMODEL_ID,
        environment.MLFLOW_ACTIVE_MODEL_ID,
        environment.OTEL_LOGGEDMODEL_NAME,
        environment.OTEL_LOGGEDMODEL_GIT,
    ):
        if os.environ.get(variable, "").strip():
            return variable
    return "the environment"


def _known() -> list[str]:
    from opentelemetry.sdk import environment_variables

    from otel_loggedmodel.commands import opening, options

    names = [*vars(environment_variables).values(), *vars(environment).values()]
    names += [options.STORE_VARIABLE, opening.TOKEN_VARIABLE]
    return sorted({name for name in names if isinstance(name, str) and name.startswith("OTEL_")})


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _warning(name: str, text: str, advice: str) -> Step:
    return Step(name=name, outcome=Outcome.WARNING, text=text, advice=advice)
