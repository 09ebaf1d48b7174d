# SPDX-License-Identifier: Apache-2.0
"""Version tracking for any OpenTelemetry set-up: which version of an application produced a trace.

    import otel_loggedmodel

    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter())))

    otel_loggedmodel.set_active_model(name="my-agent-v1.0")

The names follow MLflow's version tracking, so code written for it runs after `import otel_loggedmodel as mlflow`.
"""

from typing import TYPE_CHECKING

from otel_loggedmodel import _absent
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
    from otel_loggedmodel import client, entities, exceptions, genai, tracking
    from otel_loggedmodel.asking import compare, list_versions
    from otel_loggedmodel.exceptions import MlflowException
    from otel_loggedmodel.genai.annotating import (
        delete_assessment,
        get_assessment,
        log_assessment,
        log_expectation,
        override_feedback,
        update_assessment,
    )
    from otel_loggedmodel.genai.feedback import log_feedback
    from otel_loggedmodel.genai.sessions import search_sessions
    from otel_loggedmodel.genai.stored import get_trace, search_traces
    from otel_loggedmodel.instrumentor import instrument
    from otel_loggedmodel.interface.client import MlflowClient
    from otel_loggedmodel.interface.declaring import context
    from otel_loggedmodel.interface.models import last_logged_model, search_logged_models
    from otel_loggedmodel.interface.runs import (
        ActiveRun,
        active_run,
        create_experiment,
        end_run,
        get_experiment,
        get_experiment_by_name,
        get_run,
        initialize_logged_model,
        last_active_run,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        set_tag,
        set_tags,
    )
    from otel_loggedmodel.interface.spans import (
        delete_trace_tag,
        get_active_trace_id,
        get_current_active_span,
        get_last_active_trace_id,
        set_trace_tag,
        start_span,
        update_current_trace,
    )
    from otel_loggedmodel.interface.tracking import get_tracking_uri, is_tracking_uri_set, set_tracking_uri
    from otel_loggedmodel.log_exporter import LoggedModelLogRecordExporter
    from otel_loggedmodel.log_processor import LoggedModelLogRecordProcessor
    from otel_loggedmodel.versioning import enable_git_model_versioning
else:
    _absent.install()
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
            "list_versions": "otel_loggedmodel.asking",
            "search_sessions": "otel_loggedmodel.genai.sessions",
            "search_traces": "otel_loggedmodel.genai.stored",
            "MlflowClient": "otel_loggedmodel.interface.client",
            "MlflowException": "otel_loggedmodel.exceptions",
            "client": "otel_loggedmodel.client",
            "context": "otel_loggedmodel.interface.declaring",
            "exceptions": "otel_loggedmodel.exceptions",
            "is_tracking_uri_set": "otel_loggedmodel.interface.tracking",
            "tracking": "otel_loggedmodel.tracking",
            "ActiveRun": "otel_loggedmodel.interface.runs",
            "active_run": "otel_loggedmodel.interface.runs",
            "create_experiment": "otel_loggedmodel.interface.runs",
            "delete_assessment": "otel_loggedmodel.genai.annotating",
            "delete_trace_tag": "otel_loggedmodel.interface.spans",
            "end_run": "otel_loggedmodel.interface.runs",
            "get_active_trace_id": "otel_loggedmodel.interface.spans",
            "get_assessment": "otel_loggedmodel.genai.annotating",
            "get_current_active_span": "otel_loggedmodel.interface.spans",
            "get_experiment": "otel_loggedmodel.interface.runs",
            "get_experiment_by_name": "otel_loggedmodel.interface.runs",
            "get_last_active_trace_id": "otel_loggedmodel.interface.spans",
            "get_run": "otel_loggedmodel.interface.runs",
            "get_trace": "otel_loggedmodel.genai.stored",
            "get_tracking_uri": "otel_loggedmodel.interface.tracking",
            "initialize_logged_model": "otel_loggedmodel.interface.runs",
            "last_active_run": "otel_loggedmodel.interface.runs",
            "last_logged_model": "otel_loggedmodel.interface.models",
            "log_assessment": "otel_loggedmodel.genai.annotating",
            "log_expectation": "otel_loggedmodel.genai.annotating",
            "log_metric": "otel_loggedmodel.interface.runs",
            "log_metrics": "otel_loggedmodel.interface.runs",
            "log_param": "otel_loggedmodel.interface.runs",
            "log_params": "otel_loggedmodel.interface.runs",
            "override_feedback": "otel_loggedmodel.genai.annotating",
            "search_logged_models": "otel_loggedmodel.interface.models",
            "set_tag": "otel_loggedmodel.interface.runs",
            "set_tags": "otel_loggedmodel.interface.runs",
            "set_trace_tag": "otel_loggedmodel.interface.spans",
            "set_tracking_uri": "otel_loggedmodel.interface.tracking",
            "start_span": "otel_loggedmodel.interface.spans",
            "update_assessment": "otel_loggedmodel.genai.annotating",
            "update_current_trace": "otel_loggedmodel.interface.spans",
        },
        otherwise=("otel_loggedmodel.interface.elsewhere", "found"),
    )

__all__ = [
    "ActiveModel",
    "ActiveRun",
    "LoggedModel",
    "LoggedModelExporter",
    "LoggedModelLogRecordExporter",
    "LoggedModelLogRecordProcessor",
    "LoggedModelPropagator",
    "LoggedModelSpanProcessor",
    "LoggedModelStatus",
    "MlflowClient",
    "MlflowException",
    "__version__",
    "active_run",
    "clear_active_model",
    "client",
    "compare",
    "context",
    "create_experiment",
    "create_external_model",
    "delete_assessment",
    "delete_logged_model",
    "delete_logged_model_tag",
    "delete_trace_tag",
    "enable_git_model_versioning",
    "end_run",
    "entities",
    "exceptions",
    "finalize_logged_model",
    "genai",
    "get_active_model_id",
    "get_active_trace_id",
    "get_assessment",
    "get_current_active_span",
    "get_experiment",
    "get_experiment_by_name",
    "get_last_active_trace_id",
    "get_logged_model",
    "get_run",
    "get_trace",
    "get_tracking_uri",
    "initialize_logged_model",
    "instrument",
    "is_tracking_uri_set",
    "last_active_run",
    "last_logged_model",
    "list_versions",
    "log_assessment",
    "log_expectation",
    "log_feedback",
    "log_metric",
    "log_metrics",
    "log_model_params",
    "log_param",
    "log_params",
    "override_feedback",
    "search_logged_models",
    "search_sessions",
    "search_traces",
    "set_active_model",
    "set_experiment",
    "set_logged_model_tags",
    "set_tag",
    "set_tags",
    "set_trace_tag",
    "set_tracking_uri",
    "start_run",
    "start_span",
    "trace",
    "tracking",
    "update_assessment",
    "update_current_trace",
    "use_model",
]
