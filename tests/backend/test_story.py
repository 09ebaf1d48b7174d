# SPDX-License-Identifier: Apache-2.0
"""The whole way: traffic of which the truth is known over every transport, and what the command line says of it."""

import gzip
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asking import JSON, PROTOBUF
from effort import IS_FULL, only_in_full, some
from planted_traces import TENANT
from truth import Traffic, make_traffic

from .sending import as_json, call
from .serving import Serving, command

TENANTS = {TENANT: "acme"}
GATES = dict(
    some(
        [
            ("a twin", ("twin", 0)),
            ("a slower one", ("slower", 1)),
            ("one of which the cost is not known", ("plain", 2, "--fail-if", "cost_usd_per_trace > +10%")),
            ("one of few traces", ("few", 2)),
            ("a better one", ("sturdy", 0)),
        ],
        quick=3,
    )
)


@dataclass(frozen=True)
class Story:
    """The traffic, and by the name of a question what was said while the backend ran, and after it had stopped."""

    traffic: Traffic
    running: Mapping[str, Any]
    alone: Mapping[str, Any]
    gated: Mapping[str, int]


@pytest.mark.takes(15)
@only_in_full
def test_the_truth_comes_out_of_the_command_line(tmp_path: Path) -> None:
    story = tell(tmp_path)
    check_that_every_number_equals_the_truth(story)
    check_that_planted_differences_are_found_and_planted_sames_are_not_called(story)
    check_that_versions_and_traces_are_those_that_were_sent(story)
    assert story.gated == {name: code for name, (_, code, *_) in GATES.items()}
    for question, said in story.alone.items():
        assert flat(said) == roughly(flat(story.running[question])), question


def tell(directory: Path) -> Story:
    traffic = make_traffic()
    with Serving(directory / "log", "--data", directory / "data") as serving:
        with ThreadPoolExecutor(8) as clients:
            for _ in clients.map(partial(send, serving), range(len(traffic.requests)), traffic.requests):
                pass
        running = ask_all(serving.http, traffic)
        gated = {
            name: gate(serving.http, traffic, candidate, *arguments)
            for name, (candidate, _, *arguments) in GATES.items()
        }
    again = QUESTIONS if IS_FULL else ("shown", "listed")
    return Story(traffic, running, ask_all(f"chdb://{directory / 'data'}", traffic, again), gated)


def send(serving: Serving, number: int, request: bytes) -> None:
    """Send a request over one of three ways; some twice, as a client does that did not hear of the first time."""
    send_by(serving, number % 3, request)
    if number % 10 == 0:
        send_by(serving, number % 3, request)
    if number % 10 == 5:
        send_by(serving, (number + 1) % 3, request)


def send_by(serving: Serving, way: int, request: bytes) -> None:
    if way == 0:
        answer = serving.post(gzip.compress(request, 1), PROTOBUF, content_encoding="gzip")
        assert (answer.status, answer.body) == (200, b"")
    elif way == 1:
        answer = serving.post(as_json(request), JSON)
        assert (answer.status, json.loads(answer.body)) == (200, {})
    else:
        assert call(serving.grpc, request) == b""


QUESTIONS = ("compared", "compared in part", "listed", "shown", "traces", "trace")


def ask_all(store: str, traffic: Traffic, questions: Sequence[str] = QUESTIONS) -> Mapping[str, Any]:
    def answer(*arguments: str) -> Any:
        done = command(*arguments, "--json", "--store", store)
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    ids = [version.model_id for version in traffic.versions.values()]
    base = traffic.versions["base"].model_id
    part = ("--since", traffic.middle.isoformat(), "--attribute", f"{TENANT}={TENANTS[TENANT]}")
    commands = {
        "compared": ("compare", *ids),
        "compared in part": ("compare", *ids, *part),
        "listed": ("models", "--limit", "1000"),
        "shown": ("show", base),
        "traces": ("traces", base, "--limit", "10000"),
        "trace": ("traces", "--id", traffic.entries(base)[0].trace_id),
    }
    return {question: answer(*commands[question]) for question in questions}


def gate(store: str, traffic: Traffic, candidate: str, *arguments: str) -> int:
    ids = [traffic.versions[role].model_id for role in ("base", candidate)]
    return command("gate", *ids, *arguments, store=store).returncode


def check_that_every_number_equals_the_truth(story: Story) -> None:
    traffic = story.traffic
    ids = [version.model_id for version in traffic.versions.values()]
    for part, selected in (("compared", {}), ("compared in part", {"since": traffic.middle, "attributes": TENANTS})):
        versions = story.running[part]["versions"]
        assert [version["model_id"] for version in versions] == ids
        for version in versions:
            truth = json.loads(msgspec.json.encode(traffic.truth(version["model_id"], **selected)))
            # A version that calls no model costs nothing, which the data set leaves open.
            costs = () if version["calls_per_trace"] else (".cost_usd",)
            assert planted(flat(version), *costs) == roughly(planted(flat(truth), *costs))


def planted(numbers: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Those that the data set was planted with; `tests/conventions` has the others."""
    left_out = (
        *(
            ".calls_per_trace",
            ".failed_calls",
            ".tool_calls_per_trace",
            ".first_chunk_ms",
            ".conversations",
            ".cut_off",
            ".units",
            ".first_ms",
            ".last_ms",
        ),
        *(".tokens.cache_read", ".tokens.cache_write", ".tokens.reasoning"),
    )
    return {key: value for key, value in numbers.items() if not key.startswith((*left_out, *others))}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """The numbers and texts in a document, by dotted names."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, part in value.items() for name, leaf in flat(part, f"{prefix}.{key}").items()}


def roughly(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """These values, each equal to any that differs from it by rounding alone."""
    return {
        name: pytest.approx(leaf, rel=1e-9, abs=1e-12) if type(leaf) in (int, float) else leaf
        for name, leaf in leaves.items()
    }


def check_that_planted_differences_are_found_and_planted_sames_are_not_called(story: Story) -> None:
    called = {
        differences["model_id"]: {
            name: difference["verdict"]
            for name, difference in differences["metrics"].items()
            if difference["verdict"] in {"better", "worse"}
        }
        for differences in story.running["compared"]["differences"]
    }
    planted = [version for version in story.traffic.versions.values() if version.is_comparable][1:]
    assert {version.role: called[version.model_id] for version in planted} == {
        version.role: {name: verdict.value for name, verdict in version.changed.items()} for version in planted
    }


def check_that_versions_and_traces_are_those_that_were_sent(story: Story) -> None:
    traffic, said = story.traffic, story.running
    listed = {
        version["model_id"]: (version["name"], version["registered"], version["traces"], version["errors"])
        for version in said["listed"]["versions"]
    }
    truths = {version.role: traffic.truth(version.model_id) for version in traffic.versions.values()}
    assert listed == {
        version.model_id: (version.name, version.registered, truths[role].traces, truths[role].errors)
        for role, version in traffic.versions.items()
    }
    base = traffic.versions["base"]
    assert said["shown"]["version"]["params"] == base.params
    assert flat(said["shown"]["metrics"]) == roughly(flat(said["compared"]["versions"][0]))
    assert sorted(event["kind"] for event in said["shown"]["history"]) == ["activated", "activated", "created"]
    entries = traffic.entries(base.model_id)
    assert sorted((trace["trace_id"], trace["error"]) for trace in said["traces"]["traces"]) == sorted(
        (entry.trace_id, entry.error) for entry in entries
    )
    assert entries[0].span_id in {span["span_id"] for span in said["trace"]["spans"]}
