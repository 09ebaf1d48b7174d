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
