# SPDX-License-Identifier: Apache-2.0
"""The page on MLflow's interface names every function that has a name of MLflow's."""

import re
import subprocess
import sys
from pathlib import Path

import otel_loggedmodel
from cli.terminal import environment
from otel_loggedmodel import entities
from otel_loggedmodel.genai import judges

PAGE = (Path(__file__).parents[2] / "docs" / "mlflow-interface.md").read_text()
# What only this library has.
OWN = {
    *("ActiveModel", "LoggedModelExporter", "LoggedModelPropagator", "LoggedModelSpanProcessor", "__version__"),
    *("LoggedModelLogRecordExporter", "LoggedModelLogRecordProcessor"),
    *("compare", "entities", "genai", "instrument", "list_versions", "use_model"),
}


def test_the_table_names_every_function() -> None:
    named = set(re.findall(r"`(?:\w+\.)*(\w+)`", PAGE))
    assert set(otel_loggedmodel.__all__) - OWN <= named
    assert set(entities.__all__) <= named
    assert set(judges.__all__) - {"Judge", "model_of"} <= named


def test_what_it_says_is_not_here_is_not_here() -> None:
    rows = re.findall(r"^\| (.*?) \| (.*?) \|", PAGE, re.MULTILINE)
    for functions, where in rows:
        for name in re.findall(r"`([\w.]+)`", functions) if where == "not here" else ():
            found = otel_loggedmodel
            for part in name.split("."):
                found = getattr(found, part)
            if callable(found):
                try:
                    found()
                except NotImplementedError as error:
                    assert "is not here: " in str(error)  # noqa: PT017 - any other exception fails the test
                else:
                    raise AssertionError(f"{name} is here")


def test_its_programs_run_as_printed(tmp_path: Path) -> None:
    programs = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    said = {}
    for name, text in programs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        variables = environment(OTEL_LOGGEDMODEL_STORE="http://127.0.0.1:9", OTEL_SDK_DISABLED="false")
        ran = subprocess.run(
            [sys.executable, name], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
        said[name] = ran.stdout.split()
    assert re.fullmatch("[0-9a-f]{32}", said["support.py"][0])
    assert said["support.py"][1] == "support-agent"
    assert said["judged_by.py"] == ["True"]


def test_without_the_line_that_sets_up_tracing_a_warning_names_it(tmp_path: Path) -> None:
    lines = ("import otel_loggedmodel as mlflow", "f = mlflow.trace(lambda: mlflow.update_current_trace({'a': 'b'}))")
    for disabled, times in (("false", 2), ("true", 0)):
        ran = subprocess.run(
            [sys.executable, "-c", "\n".join([*lines, "f()", "f()"])],
            cwd=tmp_path,
            env=environment(OTEL_SDK_DISABLED=disabled),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        # Once of the function, and once of what was to be said inside it.
        assert ran.stderr.count("call otel_loggedmodel.instrument() first") == times
