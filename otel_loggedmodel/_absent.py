# SPDX-License-Identifier: Apache-2.0
"""Imports of modules that only MLflow has, as `from otel_loggedmodel.genai.optimize import optimize_prompts`.

They give a module whose names say what to do instead, so that a program says that where it uses them. Python asks this
finder last, and it answers for names inside this package alone. https://docs.python.org/3/reference/import.html#the-meta-path
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

_PACKAGE: Final = __name__.partition(".")[0]
# It is above this room, and loaded when it is first wanted.
_ELSEWHERE: Final = f"{_PACKAGE}.interface.elsewhere"


class _AbsentModules(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if not fullname.startswith(f"{_PACKAGE}.") or not importlib.import_module(_ELSEWHERE).is_module(package, name):
            return None
        # Marked as a package, so that what is asked for below it is looked for here as well.
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        importlib.import_module(_ELSEWHERE).fill(module)


def install() -> None:
    """Have Python ask for them; once."""
    if not any(isinstance(finder, _AbsentModules) for finder in sys.meta_path):
        sys.meta_path.append(_AbsentModules())
