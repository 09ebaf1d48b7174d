# SPDX-License-Identifier: Apache-2.0
"""A composite action as a runner runs it, and as much of GitHub's REST API as such an action asks."""

import base64
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from answering import Answer, AnsweringServer, as_json

REPOSITORY = "owner/app"
TOKEN = "token-of-the-job"


class Api:
    """The API for one repository; what it has is in memory.

    Args:
        refuses: Paths whose requests that write are not allowed.
    """

    def __init__(self, refuses: str = "") -> None:
        self.comments: list[dict[str, Any]] = []
        self.objects: dict[str, Any] = {}
        self.branches: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self._refuses = refuses
        self._server = AnsweringServer(self._answer)

    def __enter__(self) -> "Api":
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    @property
    def url(self) -> str:
        return self._server.uri

    def _answer(self, method: str, address: str, document: Any) -> Answer:
        is_known = self._server.requests[-1][2].get("authorization") == f"Bearer {TOKEN}"
        return as_json(*self.answer(method, address, document) if is_known else (401, {"message": "who?"}))

    def file(self, branch: str, path: str) -> bytes:
        """What a file on a branch has in it."""
        tree = self.objects[self.objects[self.branches[branch]]["tree"]]
        return base64.b64decode(self.objects[tree[path]])

    def answer(self, method: str, address: str, document: Any) -> tuple[int, Any]:
        path, _, query = address.partition("?")
        path = path.removeprefix(f"/repos/{REPOSITORY}")
        self.requests.append((method, path))
        if method != "GET" and self._refuses and path.startswith(self._refuses):
            return 403, {"message": "Resource not accessible by integration"}
        if path.startswith("/issues"):
            return self._of_comments(method, path, query, document)
        return self._of_git(method, path.removeprefix("/git"), document)

    def _of_comments(self, method: str, path: str, query: str, document: Any) -> tuple[int, Any]:
        if method == "GET":
            page = int(re.findall(r"[^_]page=(\d+)", query)[0])
            return 200, self.comments[100 * (page - 1) : 100 * page]
        if method == "POST":
            number = len(self.comments)
            self.comments.append({"id": number, "html_url": f"https://github.example/{number}", **document})
            return 201, self.comments[-1]
        comment = self.comments[int(path.rpartition("/")[2])]
        comment.update(document)
        return 200, comment

    def _of_git(self, method: str, path: str, document: Any) -> tuple[int, Any]:
        if method == "GET" and path.startswith("/ref/heads/"):
            branch = path.removeprefix("/ref/heads/")
            if branch not in self.branches:
                return 404, {"message": "Not Found"}
            return 200, {"object": {"sha": self.branches[branch]}}
        if method == "GET":
            return 200, {"tree": {"sha": self.objects[path.removeprefix("/commits/")]["tree"]}}
        if path == "/blobs":
            return self._keep(document["content"])
        if path == "/trees":
            base = self.objects[document["base_tree"]] if "base_tree" in document else {}
            return self._keep({**base, **{entry["path"]: entry["sha"] for entry in document["tree"]}})
        if path == "/commits":
            return self._keep(document)
        branch = (document.get("ref") or path).removeprefix("/").removeprefix("refs/heads/")
        self.branches[branch] = document["sha"]
        return 200, {}

    def _keep(self, what: Any) -> tuple[int, Any]:
        sha = hashlib.sha1(json.dumps(what).encode()).hexdigest()
        self.objects[sha] = what
        return 201, {"sha": sha}


class Action:
    """A composite action.

    Args:
        folder: The one with `action.yml`.
        temporary: What the runner gives as `RUNNER_TEMP`.
    """

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder = folder
        self._temporary = temporary
        self.document = yaml.safe_load((folder / "action.yml").read_text())
        self.said = ""
        self.summary = ""

    def run(
        self, inputs: Mapping[str, str], github: Mapping[str, str], *, skip: str = ""
    ) -> tuple[int, dict[str, str]]:
        """Run its steps; the exit status of the job, and the action's outputs.

        Args:
            inputs: What the workflow gives.
            github: Of the context `github`, by its whole name.
            skip: A step that has been done already.
        """
        assert set(inputs) <= set(self.document["inputs"])
        known = {f"inputs.{name}": str(one.get("default", "")) for name, one in self.document["inputs"].items()}
        known = {name: self._written(value, github) for name, value in known.items()}
        known |= {f"inputs.{name}": value for name, value in inputs.items()} | dict(github)
        status = 0
        for step in self.document["runs"]["steps"]:
            if step["name"] == skip or status:
                continue
            if "if" in step and not self._value(step["if"], known):
                continue
            variables = {name: self._written(value, known) for name, value in step.get("env", {}).items()}
            status, outputs = self._step(step["run"], variables, known)
            known |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in outputs.items()}
        values = {name: self._written(one["value"], known) for name, one in self.document["outputs"].items()}
        return status, values

    def _step(self, script: str, variables: Mapping[str, str], known: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        assert "${{" not in script, "what comes from outside is a variable, and never part of a script"
        files = {name: self._temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OTEL_", "MLFLOW_", "GITHUB_", "PYTHON", "PIP_CONSTRAINT"))
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            env={
                **kept,
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(self._folder),
                "GITHUB_API_URL": known["github.api_url"],
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_RUN_ID": "7",
                "GITHUB_SHA": "0123456789abcdef",
                "RUNNER_TEMP": str(self._temporary),
                **{name: str(file) for name, file in files.items()},
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said += done.stdout
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        return done.returncode, dict(line.split("=", 1) for line in lines)

    def _written(self, text: str, known: Mapping[str, str]) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: str(self._value(found[1], known)), str(text))

    def _value(self, expression: str, known: Mapping[str, str]) -> Any:
        """Expressions of the few kinds that the action has: https://docs.github.com/actions/reference/workflows-and-actions/expressions"""
        for word, combine in ((" || ", lambda one, other: one or other), (" && ", lambda one, other: one and other)):
            if word in expression:
                first, second = expression.split(word, 1)
                return combine(self._value(first, known), self._value(second, known))
        if found := re.fullmatch(r"(.+?) (==|!=) (.+)", expression):
            equal = self._value(found[1], known) == self._value(found[3], known)
            return equal if found[2] == "==" else not equal
        if found := re.fullmatch(r"'(.*)'", expression):
            return found[1]
        assert expression.startswith(("inputs.", "steps.", "github.")), expression
        return known.get(expression, "")
