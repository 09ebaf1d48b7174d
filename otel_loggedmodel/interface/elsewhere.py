# SPDX-License-Identifier: Apache-2.0
"""What MLflow has and this library does not, on purpose. Each name raises an error that says what to do instead."""

import importlib
from types import ModuleType
from typing import Any, Final, NoReturn

from otel_loggedmodel.interface.advice import MODULES, OF_ENTITIES, OF_SCORERS, advice_on

_PACKAGE: Final = "otel_loggedmodel"


class NotHereError(NotImplementedError):
    """A function of MLflow's has no meaning here; the text says what to do instead."""


class NotHere:
    """What stands in the place of a function or class: whatever is done with it raises the error.

    Args:
        name: Its name, with its module.
        advice: What to do instead.
    """

    def __init__(self, name: str, advice: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = f"Not here: {advice}."
        self._advice = advice

    def _raise(self, *_: Any, **__: Any) -> NoReturn:
        raise NotHereError(f"{self.__name__} of MLflow is not here: {self._advice}")

    # Called, looked into as an enumeration, derived from, or part of an annotation such as `Prompt | None`.
    __call__ = __mro_entries__ = __or__ = __ror__ = __getitem__ = _raise

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._raise()

    def __instancecheck__(self, value: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self.__name__} of MLflow, which is not here>"


def is_module(package: str, name: str) -> bool:
    """Whether MLflow has a module of that name in a package, and this library does not."""
    path = _path(package, name)
    return path in MODULES or path in OF_ENTITIES


def found(package: str, name: str) -> Any:
    """What stands for a name of MLflow's that is not here.

    Args:
        package: The `__name__` of the module of this library in which it is looked for.
        name: The name.

    Raises:
        AttributeError: MLflow has no such name.
    """
    if is_module(package, name):
        return importlib.import_module(f"{package}.{name}")
    place = _path(package)
    if place in OF_ENTITIES and not name.startswith("__"):
        return getattr(importlib.import_module(f"{_PACKAGE}.entities"), name)
    advice = None if name.startswith("__") else advice_on(place, name)
    if advice is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return NotHere(_path(package, name), advice)


def found_in_scorer(kind: type, name: str) -> Any:
    """What stands for a method of MLflow's scorers that is not here.

    Raises:
        AttributeError: They have no such method.
    """
    if name not in OF_SCORERS:
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
    return NotHere(f"Scorer.{name}", OF_SCORERS[name])


def fill(module: ModuleType) -> None:
    """Give a module that is not here names: those of `entities`, or names that say what to do instead."""
    advice = MODULES.get(_path(module.__name__))
    module.__doc__ = "The same as `entities`." if advice is None else f"Not here: {advice}."
    vars(module)["__getattr__"] = lambda name: found(module.__name__, name)


def _path(package: str, name: str = "") -> str:
    return f"{package}.{name}".removeprefix(_PACKAGE).strip(".")
