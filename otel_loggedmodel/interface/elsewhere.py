# SPDX-License-Identifier: Apache-2.0
"""What MLflow has and this library does not, on purpose. Each raises an error that says what to do instead."""

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn


class NotHereError(NotImplementedError):
    """A function of MLflow's has no meaning here; the text says what to do instead."""


_INSTRUMENT: Final = "OpenTelemetry's instrumentation of the library makes its spans: see docs/frameworks.md"
_FILES: Final = "files are kept elsewhere: name where they are in a tag of the version"
_REGISTRY: Final = "there is no registry of files of models: a version is what create_external_model makes"
_PROMPTS: Final = (
    "there is no registry of prompts: keep the prompt's version in a param, or on spans as gen_ai.prompt.name"
)
_SERVING: Final = "this library serves no models: write a function that calls your endpoint, and pass it as predict_fn"
_JUDGE: Final = "write the rubric with make_judge, or a function with @scorer"
_KEPT: Final = "scorers are code here, and are not registered: import them from a module of yours"
_HELD: Final = (
    "write what users say as rows, {'conversation': ['...', '...']}: predict_fn is called turn by turn, with `messages`"
)
_KEPT_DATASETS: Final = "`otel-loggedmodel dataset list` lists data sets, merge_records and delete_records change one"
_PEOPLE: Final = "people say what they think with log_feedback, or on the page of a trace"
_FLUSH: Final = "call force_flush() of the tracer provider"
_NOTHING: Final = "this library has nothing like it"
_DELETE: Final = "a store forgets spans by its retention: `otel-loggedmodel serve --retention`"

FUNCTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("autolog",), _INSTRUMENT),
    **dict.fromkeys(("log_artifact", "log_artifacts", "log_text", "log_dict", "log_figure", "log_image"), _FILES),
    **dict.fromkeys(("log_table", "log_input", "load_table", "get_artifact_uri"), _FILES),
    **dict.fromkeys(("register_model", "register_prompt", "load_prompt", "search_prompts"), _PROMPTS),
    "register_model": _REGISTRY,
    "evaluate": "use genai.evaluate(data, scorers, predict_fn)",
    "search_runs": "evaluation runs are listed by `otel-loggedmodel runs` and /api/v1/runs",
    "delete_run": _DELETE,
    "delete_experiment": _DELETE,
    "search_experiments": "experiments are names that versions have: search_logged_models(experiment_ids=[...])",
    "set_registry_uri": _REGISTRY,
    "log_model": _REGISTRY,
    **dict.fromkeys(("search_registered_models", "search_model_versions", "set_model_version_tag"), _REGISTRY),
    **dict.fromkeys(("get_registry_uri", "import_checkpoints"), _REGISTRY),
    **dict.fromkeys(("log_inputs", "log_outputs", "log_stream"), _FILES),
    **dict.fromkeys(("restore_run", "restore_experiment"), _DELETE),
    **dict.fromkeys(("set_prompt_alias", "delete_prompt_alias"), _PROMPTS),
    **dict.fromkeys(("flush_trace_async_logging", "flush_async_logging", "flush_artifact_async_logging"), _FLUSH),
    **dict.fromkeys(("log_trace", "add_trace", "start_span_no_context"), "make spans with @trace and start_span"),
    **dict.fromkeys(("set_experiment_tag", "set_experiment_tags", "delete_experiment_tag"), "tag versions instead"),
    **dict.fromkeys(
        ("delete_tag",), "tags of a run are kept in this process alone; delete_logged_model_tag is of versions"
    ),
    **dict.fromkeys(("set_workspace", "get_workspace", "list_workspaces"), "set MLFLOW_WORKSPACE for an MLflow server"),
    **dict.fromkeys(("create_workspace", "update_workspace", "delete_workspace"), "ask the MLflow server itself"),
    **dict.fromkeys(("login", "run", "doctor", "test", "log_issue", "get_parent_run"), _NOTHING),
    **dict.fromkeys(("enable_system_metrics_logging", "disable_system_metrics_logging"), _NOTHING),
    "validate_evaluation_results": "`otel-loggedmodel gate` holds scores against rules",
}
MODULES: Final = (
    *("openai", "langchain", "anthropic", "llama_index", "dspy", "autogen", "crewai", "gemini", "bedrock", "litellm"),
    *("mistral", "groq", "ollama", "pydantic_ai", "smolagents", "semantic_kernel", "haystack", "strands", "agno"),
    *("pyfunc", "sklearn", "transformers", "models", "artifacts", "deployments", "gateway", "metrics"),
)
GENAI: Final[Mapping[str, str]] = {
    "to_predict_fn": _SERVING,
    **dict.fromkeys(("register_prompt", "load_prompt", "search_prompts", "set_prompt_alias"), _PROMPTS),
    **dict.fromkeys(("get_prompt_tags", "set_prompt_tag", "delete_prompt_tag", "delete_prompt_alias"), _PROMPTS),
    **dict.fromkeys(("set_prompt_version_tag", "delete_prompt_version_tag"), _PROMPTS),
    **dict.fromkeys(("set_prompt_model_config", "delete_prompt_model_config"), _PROMPTS),
    **dict.fromkeys(("optimize_prompt", "optimize_prompts", "test_agent", "set_session_hierarchy"), _NOTHING),
    **dict.fromkeys(("get_scorer", "list_scorers", "delete_scorer", "ScorerScheduleConfig"), _KEPT),
    "make_scorer_ensemble": _JUDGE,
    "ConversationSimulator": _HELD,
    "compare_evaluations": "`otel-loggedmodel compare RUN RUN` and otel_loggedmodel.compare compare runs",
    **dict.fromkeys(("delete_dataset", "search_datasets", "set_dataset_tags", "delete_dataset_tag"), _KEPT_DATASETS),
    "EvaluationDatasetVersion": "a data set is versioned by its digest",
    **dict.fromkeys(("create_labeling_session", "get_labeling_session", "get_labeling_sessions"), _PEOPLE),
    **dict.fromkeys(("delete_labeling_session", "LabelingSession", "ReviewApp", "get_review_app", "Agent"), _PEOPLE),
    **dict.fromkeys(("create_issue", "get_issue", "update_issue", "search_issues"), _NOTHING),
}
# The registries of MCP servers and of skills.
_OF_REGISTRIES: Final = re.compile(r"\w*(mcp_|skill|Skill)\w*|pull|(Git|Mlflow|OCI|Zip)Source")
SCORERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Completeness", "Equivalence", "ExpectationsGuidelines", "Fluency", "PIIDetection"), _JUDGE),
    **dict.fromkeys(("RetrievalRelevance", "RetrievalSufficiency", "Summarization", "ToolCallEfficiency"), _JUDGE),
    **dict.fromkeys(("make_scorer_ensemble", "agg_all", "agg_any", "majority_vote"), _JUDGE),
    **dict.fromkeys(("maximum", "mean", "minimum"), _JUDGE),
    **dict.fromkeys(("get_scorer", "list_scorers", "delete_scorer", "get_all_scorers", "ScorerSamplingConfig"), _KEPT),
}
JUDGES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("custom_prompt_judge", "is_context_sufficient", "is_tool_call_correct"), _JUDGE),
    **dict.fromkeys(("is_tool_call_efficient", "CategoricalRating"), _JUDGE),
    **dict.fromkeys(("AlignmentOptimizer", "ModelAPI"), _NOTHING),
}
DATASETS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("delete_dataset", "search_datasets", "set_dataset_tags", "delete_dataset_tag"), _KEPT_DATASETS),
    **dict.fromkeys(("add_dataset_to_experiments", "remove_dataset_from_experiments"), _KEPT_DATASETS),
    "EvaluationDatasetVersion": "a data set is versioned by its digest",
}
_PLACES: Final = {"scorers": SCORERS, "judges": JUDGES, "datasets": DATASETS}


def function(name: str, advice: str) -> Any:
    """What stands in the place of a function."""

    def not_here(*_: Any, **__: Any) -> NoReturn:
        raise NotHereError(f"{name} of MLflow is not here: {advice}")

    not_here.__name__ = not_here.__qualname__ = name
    not_here.__doc__ = f"Not here: {advice}."
    return not_here


class Module:
    """What stands in the place of a module, as `mlflow.openai`.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        advice = _INSTRUMENT if name == "autolog" else _REGISTRY
        return function(f"{self.__name__}.{name}", advice)


def found(name: str) -> Any:
    """What stands for a name of MLflow's that is not here.

    Raises:
        AttributeError: The name is not known.
    """
    if name in FUNCTIONS:
        return function(name, FUNCTIONS[name])
    if name in MODULES:
        return Module(name)
    raise AttributeError(f"module 'otel_loggedmodel' has no attribute {name!r}")


def found_in_genai(name: str) -> Any:
    """The same for the names of `mlflow.genai`.

    Raises:
        AttributeError: The name is not known.
    """
    if name in GENAI:
        return function(f"genai.{name}", GENAI[name])
    if _OF_REGISTRIES.fullmatch(name):
        return function(f"genai.{name}", _NOTHING)
    raise AttributeError(f"module 'otel_loggedmodel.genai' has no attribute {name!r}")


def found_in(place: str, name: str) -> Any:
    """The same for the names of a module of `mlflow.genai`: `scorers`, `judges` or `datasets`.

    Raises:
        AttributeError: The name is not known.
    """
    if name in _PLACES[place]:
        return function(f"genai.{place}.{name}", _PLACES[place][name])
    raise AttributeError(f"module 'otel_loggedmodel.genai.{place}' has no attribute {name!r}")
