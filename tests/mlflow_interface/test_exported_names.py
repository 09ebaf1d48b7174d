# SPDX-License-Identifier: Apache-2.0
"""Every name that MLflow exports, where versions, traces and evaluation are concerned, is here or says what to do.

`exported_names.json` has what the modules of MLflow 3.17.2 and 3.18.0 list in `__all__`, or document where they list
nothing.
"""

import importlib
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Final

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.interface.elsewhere import NotHere, NotHereError

_EXPORTED: Final[dict[str, list[str]]] = json.loads(Path(__file__).with_name("exported_names.json").read_text())


def _ours(module: str) -> Any:
    return importlib.import_module(module.replace("mlflow", "otel_loggedmodel", 1))


@pytest.mark.parametrize("module", sorted(_EXPORTED))
def test_each_name_is_here_or_says_what_to_do_instead(module: str) -> None:
    place = _ours(module)
    for name in _EXPORTED[module]:
        found = getattr(place, name)
        if isinstance(found, NotHere):
            with pytest.raises(NotHereError) as raised:
                found()
            said, _, advice = str(raised.value).partition(" of MLflow is not here: ")
            assert said.endswith(name)
            assert 10 < len(advice) < 150
            assert "\n" not in advice


def test_names_are_reached_by_attributes_as_by_imports() -> None:
    for module in _EXPORTED:
        found: Any = mlflow
        for part in module.split(".")[1:]:
            found = getattr(found, part)
        assert found is _ours(module)


def test_whatever_is_done_with_a_name_that_is_not_here_says_so() -> None:
    absent = mlflow.entities.GatewayEndpoint
    for use in (
        lambda: absent(name="a"),
        lambda: absent.TYPE,
        lambda: absent | None,
        lambda: absent[str],
        lambda: types.new_class("Own", (absent,)),
    ):
        with pytest.raises(NotHereError, match=r"entities\.GatewayEndpoint of MLflow is not here: .*gateway"):
            use()
    assert not isinstance("a", absent)
    assert "not here" in repr(absent)
    assert "no gateway" in str(absent.__doc__)


def test_code_that_catches_mlflows_exception_catches_these() -> None:
    for fails in (
        lambda: mlflow.genai.load_prompt("a"),
        lambda: mlflow.get_logged_model("m-" + "0" * 32),
        lambda: mlflow.log_metric("a", float("nan"), model_id="m-1"),
        lambda: mlflow.log_metric("a", "text", model_id="m-1"),
    ):
        try:
            fails()
        except mlflow.MlflowException as error:
            assert str(error)  # noqa: PT017 - that `except` takes it is what is tested
        else:
            raise AssertionError("nothing was raised")
    with pytest.raises(mlflow.exceptions.MlflowException, match="of mine"):
        raise mlflow.MlflowException("of mine", error_code=1)
    with pytest.raises(ValueError, match="of mine"):
        raise mlflow.MlflowException.invalid_parameter_value("of mine")


def test_a_module_that_nobody_has_is_not_found() -> None:
    for name in (
        "otel_loggedmodel.nowhere",
        "otel_loggedmodel.genai.nowhere",
        "otel_loggedmodel.openai.nowhere",
    ):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


def test_an_application_that_uses_none_of_them_loads_none_of_them() -> None:
    program = "import sys, otel_loggedmodel; print([name for name in sys.modules if 'interface' in name])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
