# SPDX-License-Identifier: Apache-2.0
"""The image and the compose file: a machine without Docker, too, can do what each instruction says."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import yaml

import needs
from collector.running import find_collector

from .tools import ROOT, environment, serving, tool

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def last(word: str) -> str:
    return [rest for name, rest in instructions() if name == word][-1]


def test_the_compose_file_is_as_its_schema_has_it() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def test_every_file_that_is_named_is_there() -> None:
    build = COMPOSE["services"]["backend"]["build"]
    context = (ROOT / "deploy" / build["context"]).resolve()
    assert (context, (context / build["dockerfile"]).read_text()) == (ROOT, DOCKERFILE)
    mounted = [volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one["volumes"]]
    assert {name for name in mounted if "/" not in name} == set(COMPOSE["volumes"])
    assert all((ROOT / "deploy" / name).exists() for name in mounted if "/" in name)


def test_the_image_installs_what_is_tested_together() -> None:
    """The same as the fixture `installed` does."""
    (install,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert shlex.split(install)[1:] == [
        "install",
        "--no-cache-dir",
        "/src[server]",
        "--constraint",
        "/src/constraints.txt",
    ]


def test_the_image_starts_is_healthy_and_stops(installed: Path, tmp_path: Path) -> None:
    command = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    assert last("VOLUME") in command
    command = [str(tmp_path / "data") if word == last("VOLUME") else word for word in command]
    variables = {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}", "OTEL_LOGGEDMODEL_TOKEN": "a-token"}
    check = json.loads(last("HEALTHCHECK").partition(" CMD ")[2] or last("HEALTHCHECK").partition("CMD ")[2])
    with serving(command, tmp_path, **variables) as address:
        healthy = [word.replace(":4318/", f":{address.rpartition(':')[2]}/") for word in check]
        variables = environment(HOME=str(tmp_path), **variables)
        subprocess.run(healthy, env=variables, check=True)
    assert subprocess.run(healthy, env=variables, stderr=subprocess.DEVNULL, check=False).returncode != 0


def test_the_collector_takes_the_configuration(tmp_path: Path) -> None:
    service = COMPOSE["services"]["collector"]
    release = service["image"].rpartition(":")[2]
    built = (ROOT / "collector" / "builder.yaml").read_text()
    assert f"go.opentelemetry.io/collector/cmd/builder@v{release} " in built
    folders = {"/etc/otelcol/config.yaml": str(ROOT / "collector-config.yaml"), "/queue": str(tmp_path / "queue")}
    (tmp_path / "queue").mkdir()
    token = r"\$\{OTEL_LOGGEDMODEL_TOKEN:\?[^}]*\}"
    variables = {name: re.sub(token, "a-token", value) for name, value in service["environment"].items()}
    variables = {name: folders.get(value, value) for name, value in variables.items()}
    config = [re.sub("=(.*)", lambda found: "=" + folders[found[1]], word) for word in service["command"]]
    subprocess.run([find_collector(), "validate", *config], env={**environment(), **variables}, check=True)
    inside = {port.split(":")[-1] for port in service["ports"]}
    listens = {value.split(":")[1] for value in variables.values() if value.startswith("0.0.0.0:")}
    assert inside == listens


def test_the_image_is_built_where_docker_runs() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode != 0:
        needs.do_without("a Docker daemon", "dockerd")
    subprocess.run(["docker", "build", "--quiet", "--file", "deploy/Dockerfile", "."], cwd=ROOT, check=True)
