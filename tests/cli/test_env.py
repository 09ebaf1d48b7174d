# SPDX-License-Identifier: Apache-2.0
"""The command `env`: lines that mean exactly the version, whatever its name is made of."""

import json
import re
import subprocess
from collections.abc import Callable

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.presenting.deploying import Syntax, lines_for, variables_for
from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.version_results import Version, VersionDetail

from .conftest import unboxed
from .doubles import HOSTILE, V1, metrics

Run = Callable[..., Result]

# What an id can be made of where it was not made here: everything but control characters.
VALUES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60)
TRICKY = [
    "$(touch /tmp/x)`id`",
    "$HOME ${HOME} $$ $(HOME) $$(HOME)",
    "'\"'\"' it's \"quoted\"",
    "ends with a backslash\\",
    '\\\\n \\t \\" \\$',
    "%h %% %n 100%",
    "# no comment: - yes, [a], {b}, &c *d !e |f >g @h",
    "名前 👩‍💻 \ufeff \ufffe",
    "null",
    "-n",
    "<<EOF",
]


def tricky(test: Callable[..., None]) -> Callable[..., None]:
    for value in TRICKY:
        test = example(value)(test)
    return test


@tricky
@settings(max_examples=40)
@given(VALUES)
def test_a_shell_reads_it_back(value: str) -> None:
    script = lines_for(variables_for(value), Syntax.SHELL) + 'printf %s "$OTEL_LOGGEDMODEL_ID"'
    output = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"HOME": "/root"}).stdout
    assert output.decode() == value


@tricky
@given(VALUES)
def test_yaml_and_kubernetes_read_it_back(value: str) -> None:
    entries = yaml.safe_load(lines_for(variables_for(value, "http://c:4318"), Syntax.KUBERNETES))["env"]
    assert [entry["name"] for entry in entries] == [
        "OTEL_LOGGEDMODEL_ID",
        "MLFLOW_ACTIVE_MODEL_ID",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    assert expanded_by_kubernetes(entries[0]["value"]) == value
    assert entries[2]["value"] == "http://c:4318"


@tricky
@given(VALUES)
def test_docker_reads_it_back(value: str) -> None:
    lines = lines_for(variables_for(value), Syntax.DOCKERFILE).splitlines()
    assert [line.split("=")[0] for line in lines] == ["ENV OTEL_LOGGEDMODEL_ID", "ENV MLFLOW_ACTIVE_MODEL_ID"]
    assert not lines[0].endswith("\\")
    assert read_by_docker(lines[0].removeprefix("ENV OTEL_LOGGEDMODEL_ID=")) == value


@tricky
@given(VALUES)
def test_systemd_reads_it_back(value: str) -> None:
    line = lines_for(variables_for(value), Syntax.SYSTEMD).splitlines()[0]
    assert read_by_systemd(line.removeprefix("Environment=")) == f"OTEL_LOGGEDMODEL_ID={value}"


def expanded_by_kubernetes(value: str) -> str:
    """https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/"""
    return re.sub(r"\$(\$|\(([^)]*)\))", lambda match: "$" if match[1] == "$" else f"<the value of {match[2]}>", value)


def read_by_docker(word: str) -> str:
    """One word of a Dockerfile: quotes as in a shell, and variables outside of single quotes."""
    value, position = "", 0
    while position < len(word):
        character = word[position]
        if character == "'":
            end = word.index("'", position + 1)
            value += word[position + 1 : end]
            position = end
        elif character == '"':
            end = word.index('"', position + 1)
            inside = word[position + 1 : end]
            assert not set(inside) & set("\\$")
            value += inside
            position = end
        else:
            assert character not in "\\$ \t"
            value += character
        position += 1
    return value


def read_by_systemd(text: str) -> str:
    """One quoted word of a unit file: C escapes, and then specifiers."""
    assert text[0] == text[-1] == '"'
    plain = re.sub(r"\\(.)", lambda match: {"\\": "\\", '"': '"'}[match[1]], text[1:-1])
    assert '"' not in re.sub(r"\\.", "", text[1:-1])
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", plain)
    return plain.replace("%%", "%")


@pytest.fixture(autouse=True)
def version(reader: MemoryReader) -> None:
    reader.details = {"support-agent": VersionDetail(version=Version(model_id=V1), metrics=metrics(V1))}


def test_lines(run: Run) -> None:
    assert run("env", "support-agent").stdout == (
        f"export OTEL_LOGGEDMODEL_ID={V1}\nexport MLFLOW_ACTIVE_MODEL_ID={V1}\n"
    )
    endpoint = "http://collector:4318"
    assert run("env", "support-agent", "--format", "systemd", "--endpoint", endpoint).stdout == (
        f'Environment="OTEL_LOGGEDMODEL_ID={V1}"\nEnvironment="MLFLOW_ACTIVE_MODEL_ID={V1}"\n'
        f'Environment="OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}"\n'
    )
    assert run("env", "support-agent", "--format", "dockerfile").stdout.startswith(f"ENV OTEL_LOGGEDMODEL_ID={V1}\n")
    assert json.loads(run("env", "support-agent", "--json").stdout) == {
        "OTEL_LOGGEDMODEL_ID": V1,
        "MLFLOW_ACTIVE_MODEL_ID": V1,
    }


def test_offline_no_store_is_asked(run: Run, reader: MemoryReader) -> None:
    assert V1 in run("env", V1, "--offline").stdout
    assert reader.asked == []
    assert "looks nothing up" in unboxed(run("env", "support-agent", "--offline", code=2).stderr)


def test_an_absent_store_is_no_obstacle_for_an_id(run: Run, reader: MemoryReader) -> None:
    reader.error = StoreUnavailableError("nothing answers")
    assert "With --offline the id is taken as it is." in run("env", V1, code=3).stderr
    assert "--offline" not in run("env", "support-agent", code=3).stderr


def test_an_id_that_no_variable_can_carry(run: Run, reader: MemoryReader) -> None:
    reader.details = {"v": VersionDetail(version=Version(model_id=HOSTILE), metrics=metrics(V1))}
    result = run("env", "v", code=2)
    assert result.stdout == ""
    assert "no environment variable can carry it" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_deleted_version_is_warned_of(run: Run, reader: MemoryReader) -> None:
    reader.details = {"v": VersionDetail(version=Version(model_id=V1, deleted=True), metrics=metrics(V1))}
    result = run("env", "v")
    assert V1 in result.stdout
    assert "was deleted" in result.stderr


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://", "http://a\nb", "http://[::1"])
def test_endpoints_have_to_be_urls(run: Run, endpoint: str) -> None:
    assert "write a URL" in unboxed(run("env", V1, "--offline", "--endpoint", endpoint, code=2).stderr)
