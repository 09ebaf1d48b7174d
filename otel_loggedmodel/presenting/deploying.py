# SPDX-License-Identifier: Apache-2.0
"""The lines that set environment variables, in the syntax of whatever deploys.

A name can hold quotes, dollars and percent signs. Which of them have a meaning differs from syntax to syntax. No name
has control characters here: names are checked before, because a variable that has them would be ignored.
"""

import enum
import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from otel_loggedmodel.environment import MLFLOW_ACTIVE_MODEL_ID, OTEL_LOGGEDMODEL_ID

OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Syntax(str, enum.Enum):
    """What the lines are for."""

    SHELL = "shell"
    DOCKERFILE = "dockerfile"
    KUBERNETES = "kubernetes"
    SYSTEMD = "systemd"


def variables_for(model_id: str, endpoint: str | None = None) -> dict[str, str]:
    """The variables that make a version the active one, under our name and MLflow's, and say where its spans go."""
    variables = {OTEL_LOGGEDMODEL_ID: model_id, MLFLOW_ACTIVE_MODEL_ID: model_id}
    return variables if endpoint is None else {**variables, OTLP_ENDPOINT: endpoint}


def lines_for(variables: Mapping[str, str], syntax: Syntax) -> str:
    """The lines, each with its line end. Every character of a value stands for itself.

    Args:
        variables: Names to values without control characters.
        syntax: What they are for.
    """
    return _HEADS.get(syntax, "") + "".join(_WRITERS[syntax](name, value) for name, value in variables.items())


def _shell(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}\n"


def _dockerfile(name: str, value: str) -> str:
    # Docker reads single quotes as a shell does, and expands nothing in them.
    # Source: https://docs.docker.com/reference/dockerfile/#environment-replacement
    return f"ENV {name}={shlex.quote(value)}\n"


def _kubernetes(name: str, value: str) -> str:
    # Kubernetes expands $(NAME) in values, and reads $$ as $. A string of JSON is one of YAML, but for two characters.
    # Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
    text = json.dumps(value.replace("$", "$$"), ensure_ascii=False)
    text = re.sub("[\ufffe\uffff]", lambda match: f"\\u{ord(match.group()):04x}", text)
    return f"  - name: {name}\n    value: {text}\n"


def _systemd(name: str, value: str) -> str:
    # Backslashes and quotes as in C, %% for %; the dollar has no meaning in Environment=.
    # Source: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Environment=
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'Environment="{name}={text}"\n'


_WRITERS: Final[dict[Syntax, Callable[[str, str], str]]] = {
    Syntax.SHELL: _shell,
    Syntax.DOCKERFILE: _dockerfile,
    Syntax.KUBERNETES: _kubernetes,
    Syntax.SYSTEMD: _systemd,
}
_HEADS: Final = {Syntax.KUBERNETES: "env:\n"}
