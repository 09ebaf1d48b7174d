# SPDX-License-Identifier: Apache-2.0
"""The command `models`."""

import json
from collections.abc import Callable

from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.version_results import Version

from .conftest import unboxed
from .doubles import HOSTILE, V1, V2, V3
from .terminal import run_in_terminal, without_colours

Run = Callable[..., Result]

VERSIONS = [
    Version(
        model_id=V2,
        name="support-agent",
        params={"llm": "gpt-5", "k": "5"},
        traces=1204,
        errors=24,
        p95_ms=2300.4,
        last_seen_ms=1_767_272_405_000,
        services=("api", "worker"),
    ),
    Version(model_id=V1, name="support-agent", deleted=True),
    Version(model_id="checkout-7", name=None, registered=False, traces=3),
]
FILL = """
reader.listed = [
    Version(model_id=V1, name="support-agent", traces=1204, errors=24, p95_ms=2300.4, last_seen_ms=1767272405000,
            services=("api", "worker"), params={"llm": "gpt-5"}),
]
"""


def test_the_list(run: Run, reader: MemoryReader) -> None:
    reader.listed = VERSIONS
    lines = run("models").stdout.splitlines()
    row = next(line for line in lines if V2 in line)
    for cell in ("ready", "1,204", "24", "2,300 ms", "2026-01-01 13:00:05Z", "api, worker", "k=5, llm=gpt-5"):
        assert cell in row
    assert "deleted" in next(line for line in lines if V1 in line)
    assert "unregistered" in next(line for line in lines if "checkout-7" in line)


def test_long_params_are_cut_in_the_list_and_whole_in_json(run: Run, reader: MemoryReader) -> None:
    prompt = "be kind " * 100_000
    many = {f"k{number:03}": "v" for number in range(300)}
    reader.listed = [
        Version(model_id=V1, name="a", params={"prompt": prompt}, traces=1),
        Version(model_id=V2, name="b", params=many, traces=1),
    ]
    listed = run("models").stdout
    assert len(listed) < 2000
    assert "prompt=" + "be kind " * 9 in listed
    assert "k019=v, and 280 more" in listed
    told = json.loads(run("models", "--json").stdout)["versions"]
    assert told[0]["params"] == {"prompt": prompt}
    assert told[1]["params"] == many


def test_filters(run: Run, reader: MemoryReader) -> None:
    run(
        "models", "--name", "a", "--tag", "team=x=y", "--tag", "env=prod", "--param", "k=5", "--deleted", "--limit", "7"
    )
    which = reader.asked[1][1]
    assert (which.name, which.deleted, which.limit) == ("a", True, 7)  # type: ignore[attr-defined]
    assert which.tags == {"team": "x=y", "env": "prod"}  # type: ignore[attr-defined]
    assert which.params == {"k": "5"}  # type: ignore[attr-defined]
    assert "write KEY=VALUE" in unboxed(run("models", "--tag", "team", code=2).stderr)


def test_json(run: Run, reader: MemoryReader) -> None:
    reader.listed = VERSIONS
    versions = json.loads(run("models", "--json").stdout)["versions"]
    assert [version["model_id"] for version in versions] == [V2, V1, "checkout-7"]
    assert versions[0]["params"] == {"llm": "gpt-5", "k": "5"}
    assert versions[1]["p95_ms"] is None


def test_an_empty_list_says_what_to_do(run: Run, reader: MemoryReader) -> None:
    result = run("models")
    assert result.stdout == ""
    assert "otel-loggedmodel doctor" in result.stderr
    assert json.loads(run("models", "--json").stdout) == {"versions": [], "notes": []}


def test_a_full_list_says_that_there_may_be_more(run: Run, reader: MemoryReader) -> None:
    reader.listed = VERSIONS
    assert "(--limit)" in run("models", "--limit", "2").stderr
    assert run("models", "--limit", "4").stderr == ""


def test_hostile_names(run: Run, reader: MemoryReader) -> None:
    texts = {HOSTILE: HOSTILE}
    reader.listed = [Version(model_id=HOSTILE, name=HOSTILE, services=(HOSTILE,), params=texts)]
    output = run("models").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(output)
    assert len(output.splitlines()) == 3


def test_a_pipe_gets_every_column_and_a_narrow_terminal_the_ids() -> None:
    wide = without_colours(run_in_terminal(["models"], 200, FILL))
    assert "llm=gpt-5" in wide
    narrow = without_colours(run_in_terminal(["models"], 80, FILL))
    for cell in (V1[-8:], "2,300 ms", "24", "2026-01-01"):
        assert cell in narrow
    assert V1 not in narrow
    assert "Not shown, for want of room:" in narrow
    assert "llm=gpt-5" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert V1[-8:] in without_colours(run_in_terminal(["models"], 50, FILL))
    assert V3 not in narrow
