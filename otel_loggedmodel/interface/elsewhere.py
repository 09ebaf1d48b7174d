# SPDX-License-Identifier: Apache-2.0
"""What MLflow has and this library does not, on purpose. Each raises an error that says what to do instead."""

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
}
MODULES: Final = (
    *("openai", "langchain", "anthropic", "llama_index", "dspy", "autogen", "crewai", "gemini", "bedrock", "litellm"),
    *("mistral", "groq", "ollama", "pydantic_ai", "smolagents", "semantic_kernel", "haystack", "strands", "agno"),
    *("pyfunc", "sklearn", "transformers", "models", "artifacts", "deployments", "gateway", "metrics"),
)
GENAI: Final[Mapping[str, str]] = {
    "to_predict_fn": _SERVING,
    **dict.fromkeys(("register_prompt", "load_prompt", "search_prompts", "set_prompt_alias"), _PROMPTS),
    **dict.fromkeys(
        ("optimize_prompt", "optimize_prompts", "create_labeling_session"), "this library has nothing like it"
    ),
}


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
    raise AttributeError(f"module 'otel_loggedmodel.genai' has no attribute {name!r}")
