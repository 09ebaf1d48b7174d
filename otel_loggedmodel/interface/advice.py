# SPDX-License-Identifier: Apache-2.0
"""What to do instead of what MLflow has and this library does not, name by name. The names are those of MLflow 3.18."""

import re
from collections.abc import Mapping
from typing import Final

INSTRUMENT: Final = "OpenTelemetry's instrumentation of the library makes its spans: see docs/frameworks.md"
FILES: Final = "files are kept elsewhere: name where they are in a tag of the version"
REGISTRY: Final = "there is no registry of files of models: a version is what create_external_model makes"
PROMPTS: Final = (
    "there is no registry of prompts: keep the prompt's version in a param, or on spans as gen_ai.prompt.name"
)
PROMPT_TRIALS: Final = "make a version of each prompt, evaluate them on the same rows, and compare them"
JUDGES_TRIALS: Final = "`compare` says how far a judge agrees with people: change its rubric and judge again"
SERVING: Final = "this library serves no models: write a function that calls your endpoint, and pass it as predict_fn"
JUDGE: Final = "write the rubric with make_judge, or a function with @scorer"
KEPT: Final = "scorers are code here, and are not registered: import them from a module of yours"
HELD: Final = (
    "write what users say as rows, {'conversation': ['...', '...']}: predict_fn is called turn by turn, with `messages`"
)
DATASETS: Final = "`otel-loggedmodel dataset list` lists data sets, merge_records and delete_records change one"
ROWS: Final = "rows of a data set are dicts with `inputs` and `expectations`; `dataset=` of evaluate names the data set"
INPUTS: Final = "evaluate(data=dataset) says name and digest of its data set on every row and result of the run"
VERSIONED_ROWS: Final = "a data set is versioned by its digest"
PEOPLE: Final = "people say what they think with log_feedback, or on the page of a trace"
FLUSH: Final = "call force_flush() of the tracer provider"
NOTHING: Final = "this library has nothing like it"
DELETE: Final = "a store forgets spans by its retention: `otel-loggedmodel serve --retention-days N`"
GATEWAY: Final = "this library is no gateway to models: ask yours, whose spans it takes"
WORKSPACE: Final = "set MLFLOW_WORKSPACE for an MLflow server"
PLACE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT, or the exporter, says where spans go"
PROVIDER: Final = "the tracer provider is yours: opentelemetry.trace.get_tracer_provider() is the one that counts"
SWITCH: Final = "set OTEL_SDK_DISABLED or OTEL_TRACES_SAMPLER, or give the tracer provider a sampler"
OF_RUNS: Final = "runs are begun with start_run, and log_params, log_metrics and set_tags write to them"
PAIRS: Final = "params, tags and metrics are dicts here"
TEXT: Final = "it is a text here, such as 'FINISHED' or 'active'"
METRICS: Final = "OpenTelemetry's system metrics instrumentation measures the process"
EXISTING: Final = "pass the library's own metric to evaluate as a scorer"
ERRORS: Final = "catch MlflowException, which stands for TypeError, ValueError, LookupError and NotImplementedError"

# Of the module `mlflow` itself.
_TOP: Final[Mapping[str, str]] = {
    "Image": FILES,
    "RunOperations": "what is logged is there at once: synchronous=False may be left out",
    "autolog": INSTRUMENT,
    **dict.fromkeys(("log_artifact", "log_artifacts", "log_text", "log_dict", "log_figure", "log_image"), FILES),
    **dict.fromkeys(("log_table", "load_table", "get_artifact_uri"), FILES),
    "log_stream": FILES,
    **dict.fromkeys(("log_input", "log_inputs", "log_outputs"), INPUTS),
    **dict.fromkeys(("register_prompt", "load_prompt", "search_prompts"), PROMPTS),
    **dict.fromkeys(("set_prompt_alias", "delete_prompt_alias"), PROMPTS),
    **dict.fromkeys(("register_model", "log_model", "import_checkpoints"), REGISTRY),
    **dict.fromkeys(("get_registry_uri", "set_registry_uri"), REGISTRY),
    **dict.fromkeys(("search_registered_models", "search_model_versions", "set_model_version_tag"), REGISTRY),
    "evaluate": "use genai.evaluate(data, scorers, predict_fn)",
    "validate_evaluation_results": "`otel-loggedmodel gate` holds scores against rules",
    "search_runs": "evaluation runs are listed by `otel-loggedmodel runs` and /api/v1/runs",
    "search_experiments": "experiments are names that versions have: search_logged_models(experiment_ids=[...])",
    **dict.fromkeys(("delete_run", "delete_experiment", "restore_run", "restore_experiment"), DELETE),
    **dict.fromkeys(("flush_trace_async_logging", "flush_async_logging", "flush_artifact_async_logging"), FLUSH),
    **dict.fromkeys(("log_trace", "add_trace", "start_span_no_context"), "make spans with @trace and start_span"),
    **dict.fromkeys(("set_experiment_tag", "set_experiment_tags", "delete_experiment_tag"), "tag versions instead"),
    "delete_tag": "tags of a run are kept in this process alone; delete_logged_model_tag is of versions",
    **dict.fromkeys(("set_workspace", "get_workspace", "list_workspaces"), WORKSPACE),
    **dict.fromkeys(("create_workspace", "update_workspace", "delete_workspace"), "ask the MLflow server itself"),
    **dict.fromkeys(("login", "run", "doctor", "test", "log_issue", "get_parent_run"), NOTHING),
    **dict.fromkeys(("enable_system_metrics_logging", "disable_system_metrics_logging"), METRICS),
    **dict.fromkeys(("set_system_metrics_sampling_interval", "set_system_metrics_node_id"), METRICS),
    "set_system_metrics_samples_before_logging": METRICS,
}
_ENTITIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RunStatus", "LifecycleStage", "ViewType", "SourceType"), TEXT),
    **dict.fromkeys(("Param", "RunTag", "ExperimentTag", "InputTag", "LoggedModelTag", "LoggedModelParameter"), PAIRS),
    **dict.fromkeys(("Dataset", "DatasetInput", "RunInputs"), ROWS),
    **dict.fromkeys(("DatasetRecordSource", "DatasetRecordSourceType", "_DatasetSummary"), ROWS),
    **dict.fromkeys(("LoggedModelInput", "LoggedModelOutput", "RunOutputs"), "start_run around a version says its run"),
    "FileInfo": FILES,
    "Prompt": PROMPTS,
    "ScorerVersion": KEPT,
    "NoOpSpan": "a span that is not recorded is a LiveSpan whose methods do nothing",
    **dict.fromkeys(("EntityAssociationType", "TraceArchivalConfig"), NOTHING),
    **dict.fromkeys(("TraceLocation", "TraceLocationType", "MlflowExperimentLocation"), PLACE),
    **dict.fromkeys(("InferenceTableLocation", "UCSchemaLocation", "UnityCatalog"), PLACE),
    **dict.fromkeys(("Workspace", "WorkspaceDeletionMode"), WORKSPACE),
    **dict.fromkeys(("FallbackConfig", "FallbackStrategy", "RoutingStrategy", "ConnectOptionSettings"), GATEWAY),
}
_TRACING: Final[Mapping[str, str]] = {
    **dict.fromkeys(("enable", "disable", "configure"), SWITCH),
    **dict.fromkeys(("reset", "get_bridged_tracer_provider"), PROVIDER),
    **dict.fromkeys(("set_destination", "set_databricks_monitoring_sql_warehouse_id"), PLACE),
    **dict.fromkeys(("set_experiment_trace_location", "unset_experiment_trace_location"), PLACE),
    **dict.fromkeys(
        ("enable_notebook_display", "disable_notebook_display"), "`otel-loggedmodel traces` and pages show traces"
    ),
    "set_span_chat_tools": "span.set_attribute('gen_ai.tool.definitions', tools)",
}
_GENAI: Final[Mapping[str, str]] = {
    "to_predict_fn": SERVING,
    **dict.fromkeys(("register_prompt", "load_prompt", "search_prompts", "set_prompt_alias"), PROMPTS),
    **dict.fromkeys(("get_prompt_tags", "set_prompt_tag", "delete_prompt_tag", "delete_prompt_alias"), PROMPTS),
    **dict.fromkeys(("set_prompt_version_tag", "delete_prompt_version_tag"), PROMPTS),
    **dict.fromkeys(("set_prompt_model_config", "delete_prompt_model_config"), PROMPTS),
    **dict.fromkeys(("optimize_prompt", "optimize_prompts"), PROMPT_TRIALS),
    "test_agent": NOTHING,
    "set_session_hierarchy": "update_current_trace(session_id=...) says the conversation",
    **dict.fromkeys(("get_scorer", "list_scorers", "delete_scorer", "ScorerScheduleConfig"), KEPT),
    "make_scorer_ensemble": JUDGE,
    "ConversationSimulator": HELD,
    "compare_evaluations": "`otel-loggedmodel compare RUN RUN` and otel_loggedmodel.compare compare runs",
    **dict.fromkeys(("delete_dataset", "search_datasets", "set_dataset_tags", "delete_dataset_tag"), DATASETS),
    "EvaluationDatasetVersion": VERSIONED_ROWS,
    **dict.fromkeys(("create_labeling_session", "get_labeling_session", "get_labeling_sessions"), PEOPLE),
    **dict.fromkeys(("delete_labeling_session", "LabelingSession", "ReviewApp", "get_review_app", "Agent"), PEOPLE),
    **dict.fromkeys(("create_issue", "get_issue", "update_issue", "search_issues"), NOTHING),
}
_SCORERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Completeness", "Equivalence", "ExpectationsGuidelines", "Fluency", "PIIDetection"), JUDGE),
    **dict.fromkeys(("RetrievalRelevance", "RetrievalSufficiency", "Summarization", "ToolCallEfficiency"), JUDGE),
    **dict.fromkeys(("make_scorer_ensemble", "agg_all", "agg_any", "majority_vote"), JUDGE),
    **dict.fromkeys(("maximum", "mean", "minimum"), JUDGE),
    **dict.fromkeys(("get_scorer", "list_scorers", "delete_scorer", "get_all_scorers", "ScorerSamplingConfig"), KEPT),
}
_JUDGES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("custom_prompt_judge", "is_context_sufficient", "is_tool_call_correct"), JUDGE),
    **dict.fromkeys(("is_tool_call_efficient", "CategoricalRating"), JUDGE),
    "AlignmentOptimizer": JUDGES_TRIALS,
    "ModelAPI": NOTHING,
}
_DATASETS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("delete_dataset", "search_datasets", "set_dataset_tags", "delete_dataset_tag"), DATASETS),
    **dict.fromkeys(("add_dataset_to_experiments", "remove_dataset_from_experiments"), DATASETS),
    "EvaluationDatasetVersion": VERSIONED_ROWS,
}
_INTEGRATION: Final[Mapping[str, str]] = {"autolog": INSTRUMENT}

# Modules that are not here, each with what to do instead of anything in it.
MODULES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("openai", "langchain", "anthropic", "llama_index", "dspy", "autogen", "crewai"), REGISTRY),
    **dict.fromkeys(("gemini", "bedrock", "litellm", "mistral", "groq", "ollama", "pydantic_ai"), REGISTRY),
    **dict.fromkeys(("smolagents", "semantic_kernel", "haystack", "strands", "agno", "ag2", "txtai"), REGISTRY),
    **dict.fromkeys(("claude_code", "otel", "typesafe", "pyfunc", "sklearn", "transformers", "models"), REGISTRY),
    **dict.fromkeys(("catboost", "diffusers", "h2o", "johnsnowlabs", "keras", "lightgbm", "onnx"), REGISTRY),
    **dict.fromkeys(("paddle", "pmdarima", "prophet", "pyspark", "pytorch", "rfunc", "shap", "spacy"), REGISTRY),
    **dict.fromkeys(("sentence_transformers", "spark", "statsmodels", "tensorflow", "xgboost"), REGISTRY),
    **dict.fromkeys(("artifacts", "data"), FILES),
    **dict.fromkeys(("deployments", "gateway"), SERVING),
    **dict.fromkeys(("projects", "types", "server"), NOTHING),
    "config": "set_tracking_uri and `otel-loggedmodel env` are what is set here",
    "metrics": "use the scorers of genai.scorers",
    "genai.agent_server": SERVING,
    **dict.fromkeys(("genai.agent_tester", "genai.discovery", "genai.issues", "genai.mcp_servers"), NOTHING),
    "genai.skills": NOTHING,
    "genai.optimize": PROMPT_TRIALS,
    "genai.judges.optimizers": JUDGES_TRIALS,
    **dict.fromkeys(("genai.label_schemas", "genai.labeling", "genai.review_queues"), PEOPLE),
    "genai.prompts": PROMPTS,
    "genai.scheduled_scorers": KEPT,
    "genai.simulators": HELD,
    **dict.fromkeys(("genai.scorers.deepeval", "genai.scorers.guardrails", "genai.scorers.phoenix"), EXISTING),
    **dict.fromkeys(("genai.scorers.ragas", "genai.scorers.trulens", "genai.scorers.google_adk"), EXISTING),
}
# Modules of one entity or a few each, which are all in `entities` here.
OF_ENTITIES: Final = frozenset(
    f"entities.{name}"
    for name in (
        *("dataset_record", "document", "evaluation_dataset", "link", "experiment", "experiment_tag", "logged_model"),
        *("logged_model_status", "metric", "param", "run", "run_data", "run_info", "run_status", "run_tag", "session"),
        *("span_event", "span_log_level", "span_status", "trace", "trace_data", "trace_info", "trace_location"),
        *("trace_state",),
        *("view_type", "logged_model_input", "logged_model_output", "logged_model_parameter", "logged_model_tag"),
    )
)
NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "": _TOP,
    "entities": _ENTITIES,
    "entities.span": {"NoOpSpan": _ENTITIES["NoOpSpan"]},
    "genai": _GENAI,
    "genai.datasets": _DATASETS,
    "genai.evaluation": {"compare_evaluations": _GENAI["compare_evaluations"], "to_predict_fn": SERVING},
    "genai.judges": _JUDGES,
    "genai.scorers": _SCORERS,
    "tracing": _TRACING,
    "tracking": {"get_registry_uri": REGISTRY, "set_registry_uri": REGISTRY},
}
# Methods of scorers and judges.
OF_SCORERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("register", "start", "stop", "update", "model_dump", "model_validate"), KEPT),
    "align": JUDGES_TRIALS,
}
# Whole families of names, of registries and of gateways.
FAMILIES: Final = (
    (("client",), re.compile(r"\w*prompt\w*"), PROMPTS),
    (("client",), re.compile(r"\w*(registered_model|model_version|logged_model_artifacts)\w*"), REGISTRY),
    (("client",), re.compile(r"(start|end)_(trace|span)"), "make spans with @trace and start_span"),
    (("client",), re.compile(r"\w*(artifact|log_(dict|figure|image|table|text))\w*"), FILES),
    (("client",), re.compile(r"(delete|restore)_(traces|run|experiment)"), DELETE),
    (("client",), re.compile(r"log_batch|log_params|set_tag|get_metric_history|\w+_run"), OF_RUNS),
    (("client",), re.compile(r"link_\w+"), "a trace is of the version that is active, and evaluate says its run"),
    (("client",), re.compile(r"\w*(webhook|scorer|workspace)\w*"), NOTHING),
    (("entities", "genai"), re.compile(r"\w*(mcp_|skill|Skill)\w*|pull|(Git|Mlflow|OCI|Zip)Source|MCP\w+"), NOTHING),
    (("exceptions",), re.compile(r"\w+Exception|Mlflow\w+"), ERRORS),
    (("entities",), re.compile(r"(Gateway|Budget|Guardrail)\w+"), GATEWAY),
    (("entities",), re.compile(r"(Issue|Webhook)\w*"), NOTHING),
)


def advice_on(place: str, name: str) -> str | None:
    """What to do instead of a name of MLflow's; None where it has no such name.

    Args:
        place: The module, without `mlflow.`: `""`, `"genai"`, `"genai.scorers"`.
        name: The name in it.
    """
    if place in MODULES:
        return _INTEGRATION.get(name, MODULES[place])
    families = (said for places, pattern, said in FAMILIES if place in places and pattern.fullmatch(name))
    return NAMES.get(place, {}).get(name) or next(families, None)
