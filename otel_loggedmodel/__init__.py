# SPDX-License-Identifier: Apache-2.0
"""Version tracking for any OpenTelemetry set-up: which version of an application produced a trace.

    import otel_loggedmodel

    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter())))

    otel_loggedmodel.set_active_model(name="my-agent-v1.0")

The names follow MLflow's version tracking, so code written for it runs after `import otel_loggedmodel as mlflow`.
"""

from typing import TYPE_CHECKING

from otel_loggedmodel._lazy import loaded_on_demand
from otel_loggedmodel.exporter import LoggedModelExporter
from otel_loggedmodel.fluent import (
    clear_active_model,
    create_external_model,
    delete_logged_model,
    delete_logged_model_tag,
    finalize_logged_model,
    get_active_model_id,
    get_logged_model,
    log_model_params,
    set_active_model,
    set_experiment,
    set_logged_model_tags,
    start_run,
    use_model,
)
from otel_loggedmodel.processor import LoggedModelSpanProcessor
from otel_loggedmodel.propagation import LoggedModelPropagator
from otel_loggedmodel.tracing import trace
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions.model import ActiveModel, LoggedModel, LoggedModelStatus

if TYPE_CHECKING:
    from otel_loggedmodel import entities, genai
    from otel_loggedmodel.asking import compare, search_logged_models
    from otel_loggedmodel.genai.feedback import log_feedback
    from otel_loggedmodel.genai.stored import search_traces
    from otel_loggedmodel.instrumentor import instrument
    from otel_loggedmodel.log_exporter import LoggedModelLogRecordExporter
    from otel_loggedmodel.log_processor import LoggedModelLogRecordProcessor
    from otel_loggedmodel.versioning import enable_git_model_versioning
else:
    __getattr__, __dir__ = loaded_on_demand(
        __name__,
        {
            "LoggedModelLogRecordExporter": "otel_loggedmodel.log_exporter",
            "LoggedModelLogRecordProcessor": "otel_loggedmodel.log_processor",
            "compare": "otel_loggedmodel.asking",
            "enable_git_model_versioning": "otel_loggedmodel.versioning",
            "entities": "otel_loggedmodel.entities",
            "genai": "otel_loggedmodel.genai",
            "instrument": "otel_loggedmodel.instrumentor",
            "log_feedback": "otel_loggedmodel.genai.feedback",
            "search_logged_models": "otel_loggedmodel.asking",
            "search_traces": "otel_loggedmodel.genai.stored",
        },
    )

__all__ = [
    "ActiveModel",
    "LoggedModel",
    "LoggedModelExporter",
    "LoggedModelLogRecordExporter",
    "LoggedModelLogRecordProcessor",
    "LoggedModelPropagator",
    "LoggedModelSpanProcessor",
    "LoggedModelStatus",
    "__version__",
    "clear_active_model",
    "compare",
    "create_external_model",
    "delete_logged_model",
    "delete_logged_model_tag",
    "enable_git_model_versioning",
    "entities",
    "finalize_logged_model",
    "genai",
    "get_active_model_id",
    "get_logged_model",
    "instrument",
    "log_feedback",
    "log_model_params",
    "search_logged_models",
    "search_traces",
    "set_active_model",
    "set_experiment",
    "set_logged_model_tags",
    "start_run",
    "trace",
    "use_model",
]
