# SPDX-License-Identifier: Apache-2.0
"""What MLflow's tracing SDK writes on its spans, for those who read them one by one; the store reads them in SQL.

Every value is JSON, so that a text stands in quotes. The names are those of
https://github.com/mlflow/mlflow/blob/master/mlflow/tracing/constant.py.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

INPUTS: Final = "mlflow.spanInputs"
OUTPUTS: Final = "mlflow.spanOutputs"
SPAN_TYPE: Final = "mlflow.spanType"
MODEL: Final = "mlflow.llm.model"
_USAGE: Final = "mlflow.chat.tokenUsage"


def value_of(attributes: Mapping[str, Any], key: str) -> Any:
    """An attribute's value; what is no JSON, as it is. None where there is no such attribute."""
    value = attributes.get(key)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def text_of(attributes: Mapping[str, Any], key: str) -> str | None:
    """An attribute that is a text, and not an empty one."""
    value = value_of(attributes, key)
    return value if isinstance(value, str) and value else None


def tokens_of(attributes: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens in and out, each where it is said."""
    usage = value_of(attributes, _USAGE)
    if not isinstance(usage, dict):
        return None, None
    return _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
