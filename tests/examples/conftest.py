# SPDX-License-Identifier: Apache-2.0
"""What tests of the examples share."""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from otlp_receiver import OtlpReceiver

from .running import EXAMPLES


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def import_from_demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports one of its modules. They stand beside each other, and tests have rooms of the same names."""
    directory = EXAMPLES / "demo"
    monkeypatch.syspath_prepend(directory)
    names = [path.stem for path in directory.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)
