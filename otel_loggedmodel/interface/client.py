# SPDX-License-Identifier: Apache-2.0
"""`MlflowClient`: the functions of this library as methods, for code that is written with MLflow's client."""

from typing import Any, Final

from otel_loggedmodel import fluent
from otel_loggedmodel.genai import annotating, datasets, feedback, stored
from otel_loggedmodel.interface import models, runs, spans
from otel_loggedmodel.interface.advice import advice_on
from otel_loggedmodel.interface.elsewhere import NotHere

_METHODS: Final = {
    "create_dataset": datasets.create_dataset,
    "create_experiment": runs.create_experiment,
    "create_logged_model": fluent.create_external_model,
    "delete_assessment": annotating.delete_assessment,
    "delete_logged_model": fluent.delete_logged_model,
    "delete_logged_model_tag": fluent.delete_logged_model_tag,
    "delete_trace_tag": spans.delete_trace_tag,
    "finalize_logged_model": fluent.finalize_logged_model,
    "get_assessment": annotating.get_assessment,
    "get_dataset": datasets.get_dataset,
    "get_experiment": runs.get_experiment,
    "get_experiment_by_name": runs.get_experiment_by_name,
    "get_logged_model": fluent.get_logged_model,
    "get_run": runs.get_run,
    "get_trace": stored.get_trace,
    "log_assessment": annotating.log_assessment,
    "log_expectation": annotating.log_expectation,
    "log_feedback": feedback.log_feedback,
    "log_model_params": None,
    "log_metric": None,
    "log_param": None,
    "search_logged_models": None,
    "search_traces": stored.search_traces,
    "set_logged_model_tags": fluent.set_logged_model_tags,
    "set_trace_tag": spans.set_trace_tag,
    "update_assessment": annotating.update_assessment,
}


class MlflowClient:
    """MLflow's client, as far as it is here: its methods are the functions of the same names.

    Args:
        tracking_uri: Taken for MLflow's sake. Where to read from is what OTEL_LOGGEDMODEL_STORE says.
        registry_uri: The same.
    """

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri

    def log_model_params(self, model_id: str, params: dict[str, str]) -> None:
        """Add params to a version; here the version comes first."""
        fluent.log_model_params(params, model_id)

    def log_metric(
        self, run_id: str, key: str, value: float, timestamp: int | None = None, step: int | None = None, **more: Any
    ) -> None:
        """Log a metric of a run, or of a version if `model_id` is given."""
        model_id = more.get("model_id")
        runs.log_metric(key, value, step, run_id=None if model_id else run_id, model_id=model_id)

    def log_param(self, run_id: str, key: str, value: Any) -> Any:
        """Log a param of a run."""
        runs.log_params({key: value}, run_id=run_id)
        return value

    def search_logged_models(
        self, experiment_ids: list[str] | None = None, filter_string: str | None = None, **more: Any
    ) -> list[Any]:
        """The versions, as a list."""
        more.pop("page_token", None)
        found = models.search_logged_models(experiment_ids, filter_string, output_format="list", **more)
        return list(found)

    def __getattr__(self, name: str) -> Any:
        method = _METHODS.get(name)
        if method is not None:
            return method
        if name.startswith("_"):
            raise AttributeError(name)
        for place in ("client", "", "genai", "genai.datasets"):
            advice = advice_on(place, name)
            if advice is not None:
                return NotHere(f"MlflowClient.{name}", advice)
        raise AttributeError(f"MlflowClient has no {name!r} here; there are: {', '.join(sorted(_METHODS))}")

    def __dir__(self) -> list[str]:
        return sorted(_METHODS)
