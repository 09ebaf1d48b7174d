# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.exceptions`: `MlflowException`, for code that catches it."""

import importlib
from typing import Any, Final


class _Errors(tuple[type[Exception], ...]):
    """Exceptions that `except` catches, and that can be called for one of them, as `raise MlflowException("...")`."""

    __slots__ = ()

    def __call__(self, message: object = "", *_: Any, **__: Any) -> Exception:
        """A ValueError that says the message. What else MLflow's takes, as an error code, means nothing here."""
        return ValueError(message)

    def invalid_parameter_value(self, message: object, **_: Any) -> Exception:
        """The same."""
        return ValueError(message)


# What the functions of this library raise where MLflow's raise theirs. NotImplementedError is of what is not here.
MlflowException: Final = _Errors((TypeError, ValueError, LookupError, NotImplementedError))

__all__ = ["MlflowException"]


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
