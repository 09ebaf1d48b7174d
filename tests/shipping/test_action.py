# SPDX-License-Identifier: Apache-2.0
"""The GitHub Action, its steps run as a runner runs them against a stand-in of the API, and files for other builds."""

import os
import re
import sys
from pathlib import Path

import pytest

from .conftest import Shop
from .github import TOKEN, Action, Api
from .tools import CONSTRAINTS, ROOT, TOOLS, tool


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "examples/ci/github.yml"),
        ("vendor.gitlab-ci", "examples/ci/gitlab.yml"),
    ],
)
def test_files_are_as_their_schemas_have_them(schema: str, path: str) -> None:
    tool("check-jsonschema", "--builtin-schema", schema, path)


@pytest.fixture
def action(tmp_path: Path) -> Action:
    """With this environment in the place of the one that it makes."""
    made = tmp_path / "otel-loggedmodel" / "bin"
    made.mkdir(parents=True)
    for name in ("otel-loggedmodel", "python"):
        program = Path(sys.executable).with_name(name)
        # A link would make a Python of it that does not find its packages.
        (made / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        (made / name).chmod(0o755)
    return Action(ROOT, tmp_path)


def context(api: Api, pull_request: str = "5") -> dict[str, str]:
    return {"github.api_url": api.url, "github.token": TOKEN, "github.event.pull_request.number": pull_request}


def inputs(shop: Shop, **others: str) -> dict[str, str]:
    given = {"store": shop.http, "baseline": shop.id_of("base"), "candidate": shop.id_of("slower")}
    return {**given, **{name.replace("_", "-"): value for name, value in others.items()}}


def test_a_regression_fails_and_is_told_in_one_comment(shop: Shop, action: Action) -> None:
    with Api() as api:
        api.comments += [{"id": number, "html_url": "", "body": "looks good"} for number in range(101)]
        status, outputs = action.run(inputs(shop, picture="true"), context(api), skip="Install")
        assert (status, outputs["outcome"], outputs["exit-code"]) == (1, "failed", "1")
        assert outputs["comment-url"] == "https://github.example/101"
        body = api.comments[101]["body"]
        assert "gate: failed" in body
        assert re.search(r"\| Speed \| ✗ worse \|", body)
        assert "/actions/runs/7)" in body
        # The picture is the decision's, on a branch of its own.
        (path,) = re.findall(r"!\[[^]]*\]\(https://github\.example/owner/app/blob/\w+/(\S+)\?raw=true\)", body)
        picture = api.file("otel-loggedmodel-pictures", path)
        assert picture == (Path(outputs["report"]) / "comparison.svg").read_bytes()
        assert "::error title=otel-loggedmodel gate" in action.said
        assert "gate: failed" in action.summary
        names = {file.name for file in Path(outputs["report"]).iterdir()}
        assert names == {"gate.json", "junit.xml", "summary.md", "comparison.html", "comparison.svg"}

        # Another run of the same pull request.
        passing = {"fail_if": "\n".join(["error_rate > 99%", "latency_ms.p95 > +100000%"]), "picture": "true"}
        status, outputs = action.run(inputs(shop, **passing), context(api), skip="Install")
        assert (status, outputs["outcome"]) == (0, "passed")
        assert len(api.comments) == 102
        assert "gate: passed" in api.comments[101]["body"]
        assert "failed" not in api.comments[101]["body"]
        commit = api.objects[api.branches["otel-loggedmodel-pictures"]]
        assert len(commit["parents"]) == 1


def test_another_gate_has_a_comment_of_its_own(shop: Shop, action: Action) -> None:
    with Api() as api:
        api.comments.append({"id": 0, "html_url": "", "body": "<!-- otel-loggedmodel: gate -->"})
        action.run(inputs(shop, comment_key="nightly"), context(api), skip="Install")
        assert [one["body"].splitlines()[0] for one in api.comments] == [
            "<!-- otel-loggedmodel: gate -->",
            "<!-- otel-loggedmodel: nightly -->",
        ]


def test_what_the_token_may_not_do_is_a_warning(shop: Shop, action: Action) -> None:
    passing = {"fail_if": "error_rate > 99%", "picture": "true"}
    with Api(refuses="/") as api:
        status, outputs = action.run(inputs(shop, **passing), context(api), skip="Install")
    assert (status, outputs["outcome"], outputs["comment-url"]) == (0, "passed", "")
    assert "no comment, GitHub answers 403 (Resource not accessible by integration)" in action.said
    assert "no picture" in action.said


def test_a_version_that_does_not_exist_ends_the_job_and_says_so(shop: Shop, action: Action) -> None:
    with Api() as api:
        status, outputs = action.run({**inputs(shop), "candidate": "nobody"}, context(api), skip="Install")
        assert (status, outputs["exit-code"], api.comments) == (2, "2", [])
    assert "there is no version 'nobody'" in action.said


def test_what_comes_from_outside_is_only_text(shop: Shop, action: Action, tmp_path: Path) -> None:
    odd = f"'; touch {tmp_path}/owned; echo $(touch {tmp_path}/owned) `touch {tmp_path}/owned`"
    with Api() as api:
        status, _ = action.run({**inputs(shop), "candidate": odd, "fail-if": odd}, context(api), skip="Install")
    assert status == 2
    assert not (tmp_path / "owned").exists()


def test_evaluations_are_sent_to_the_store(shop: Shop, action: Action, tmp_path: Path) -> None:
    command = f'echo "$OTEL_EXPORTER_OTLP_ENDPOINT $OTEL_EXPORTER_OTLP_HEADERS" > {tmp_path}/env\ntrue'
    given = inputs(shop, evaluate=command, token="abc", fail_if="error_rate > 99%")
    with Api() as api:
        # Without a pull request there is nothing to comment on.
        assert action.run(given, context(api, ""), skip="Install")[0] == 0
        assert api.requests == []
        assert (tmp_path / "env").read_text() == f"{shop.http} authorization=Bearer%20abc\n"
        # One that fails ends the job before anything is compared.
        assert action.run({**given, "evaluate": "false\ntrue"}, context(api, ""), skip="Install")[0] == 1


def test_it_installs_itself(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With what was tested together; pip does the same, in two minutes.
    monkeypatch.setenv("PATH", str(TOOLS), prepend=os.pathsep)
    monkeypatch.setenv("UV_CONSTRAINT", str(CONSTRAINTS))
    action = Action(ROOT, tmp_path)
    python = {"python": sys.executable, "fail-if": "error_rate > 99%"}
    with Api() as api:
        status, outputs = action.run({**inputs(shop), **python}, context(api))
    assert (status, outputs["outcome"]) == (0, "passed"), action.said
    assert not list(tmp_path.glob("otel-loggedmodel/lib/*/site-packages/chdb"))


def test_inputs_and_outputs_are_documented(action: Action) -> None:
    page = (ROOT / "docs" / "in-ci.md").read_text()
    told = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert told == [*action.document["inputs"], *action.document["outputs"]]


def test_the_page_shows_the_files(action: Action) -> None:
    page = (ROOT / "docs" / "in-ci.md").read_text()
    for name in ("github", "gitlab"):
        text = (ROOT / "examples" / "ci" / f"{name}.yml").read_text()
        assert text.partition("\n")[2] in page
