# SPDX-License-Identifier: Apache-2.0
"""How applications set vendors' SDKs up, as their documentation has it, and what that means for this library.

In a set-up, `vendor` is the address of the vendor's backend, and a `provider` is left behind.
"""

from dataclasses import dataclass
from typing import Final

_GLOBAL: Final = "\nprovider = trace.get_tracer_provider()"


@dataclass(frozen=True)
class Vendor:
    """One vendor's set-up.

    Attributes:
        set_up: The lines of an application.
        by_hand: The lines that add this library without `instrument()`; records then go to `records`.
        wraps: Whether its exporter shows, so that records go along with its spans.
        entries_arrive: Whether it exports entry spans that are no GenAI spans themselves.
        before: Whether a set-up after `instrument()` uses the provider that there is, or puts its own in its place.
            Else it makes one that OpenTelemetry does not make the global one, and that is told.
        environment: Variables that an application sets.
        installed_in: Which virtual environment it is in, as not all go together.
    """

    set_up: str
    by_hand: str = """
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor(OTLPSpanExporter(records)))
"""
    wraps: bool = True
    entries_arrive: bool = True
    before: bool = True
    environment: tuple[tuple[str, str], ...] = ()
    installed_in: str = "vendors"


VENDORS: Final = {
    "logfire": Vendor(
        """
import logfire
options = logfire.AdvancedOptions(base_url=vendor)
logfire.configure(token="pylf_v1_us_0", send_to_logfire=True, console=False, advanced=options, metrics=False)
"""
        + _GLOBAL,
        wraps=False,
        before=False,
    ),
    "phoenix": Vendor(
        """
from phoenix.otel import register
provider = register(endpoint=f"{vendor}/v1/traces", protocol="http/protobuf", batch=True, verbose=False)
""",
        by_hand="""
processor = otel_loggedmodel.LoggedModelSpanProcessor(OTLPSpanExporter(records))
provider.add_span_processor(processor, replace_default_processor=False)
""",
        before=False,
    ),
    "braintrust": Vendor(
        """
from braintrust.otel import BraintrustSpanProcessor
provider = trace.get_tracer_provider()
if not isinstance(provider, TracerProvider):
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
provider.add_span_processor(BraintrustSpanProcessor(api_key="key", api_url=vendor))
""",
        wraps=False,
    ),
    "langfuse": Vendor(
        """
from langfuse import Langfuse
Langfuse(public_key="public", secret_key="secret", base_url=vendor)
"""
        + _GLOBAL,
        entries_arrive=False,
    ),
    "traceloop": Vendor(
        """
from traceloop.sdk import Traceloop
Traceloop.init(api_endpoint=vendor, api_key="key", telemetry_enabled=False, instruments=set())
"""
        + _GLOBAL,
    ),
    "azure": Vendor(
        """
from azure.monitor.opentelemetry import configure_azure_monitor
configure_azure_monitor(
    connection_string=f"InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint={vendor}",
    disable_offline_storage=True,
    enable_live_metrics=False,
    enable_performance_counters=False,
    sampling_ratio=1.0,
)
"""
        + _GLOBAL,
        before=False,
        environment=(("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true"),),
        installed_in="vendor-azure",
    ),
    "sentry": Vendor(
        """
import sentry_sdk
from sentry_sdk.integrations.otlp import OTLPIntegration
sentry_sdk.init(dsn=f"http://key@{vendor.removeprefix('http://')}/1", integrations=[OTLPIntegration()])
"""
        + _GLOBAL,
    ),
    "mlflow": Vendor(
        """
import os
import mlflow
os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{vendor}/v1/traces"
mlflow.set_tracking_uri("http://127.0.0.1:9")
mlflow.start_span_no_context("first").end()
"""
        + _GLOBAL,
        environment=(
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("MLFLOW_USE_DEFAULT_TRACER_PROVIDER", "false"),
            # It would be taken for metrics, too, for which the package `mlflow-tracing` has not all that is needed.
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ),
    ),
}
