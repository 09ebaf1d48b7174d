# SPDX-License-Identifier: Apache-2.0
"""Public names whose modules are loaded when they are first used, as in https://peps.python.org/pep-0562/.

An application that only stamps and exports spans pays at each start for what it imports. What a package takes from here
it also imports under `TYPE_CHECKING`: type checkers look at that, and still find a name that does not exist.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def loaded_on_demand(
    package: str, modules: Mapping[str, str], otherwise: tuple[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """What is to be `__getattr__` and `__dir__` of a package.

    Args:
        package: Its `__name__`.
        modules: The module of each name. The name of a module of the package stands for that module.
        otherwise: The module and the function in it that know what stands for any other name of a package.
    """

    def get(name: str) -> Any:
        if name not in modules:
            if otherwise is not None and not name.startswith("_"):
                return getattr(importlib.import_module(otherwise[0]), otherwise[1])(package, name)
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(modules[name])
        value = module if modules[name] == f"{package}.{name}" else getattr(module, name)
        # Found at once from now on.
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get, names
