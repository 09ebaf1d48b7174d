# SPDX-License-Identifier: Apache-2.0
"""What says which versions there are is kept, by our Collector and by those of other people."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from waiting import wait_until

from . import otlp
from .conftest import RunCollector
from .otlp import Span
from .running import CONFIG, Collector

MODELS = 200
ORDINARY = 2000

MODES = {
    # A person who sets nothing but the percentage gets hash_seed.
    "default": "{sampling_percentage: 1}",
    "hash_seed": "{sampling_percentage: 1, mode: hash_seed, hash_seed: 22}",
    "hash_seed-open": "{sampling_percentage: 1, mode: hash_seed, hash_seed: 22, fail_closed: false}",
    "proportional": "{sampling_percentage: 1, mode: proportional}",
    "proportional-open": "{sampling_percentage: 1, mode: proportional, fail_closed: false}",
    "equalizing": "{sampling_percentage: 1, mode: equalizing}",
    "equalizing-open": "{sampling_percentage: 1, mode: equalizing, fail_closed: false}",
}

# Collectors that pass spans from one to the next sample them more than once.
TWICE = ("hash_seed", "proportional", "equalizing")

PRIORITY = otlp.ALWAYS_SAMPLED_PRIORITY
STATE = otlp.ALWAYS_SAMPLED_STATE

# The marks of a record: its attributes and its trace state.
MARKS: dict[str, tuple[Mapping[str, otlp.AttributeValue], str]] = {
    "both": (PRIORITY, STATE),
    "state": ({}, STATE),
    "priority": (PRIORITY, ""),
    "priority-double": ({"sampling.priority": 1.0}, ""),
    "priority-text": ({"sampling.priority": "1"}, ""),
    "priority-bool": ({"sampling.priority": True}, ""),
}


@pytest.fixture(scope="module")
def survivors(run_collector: RunCollector, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """Return, for each sampler, how many records came through of each mark, and of ordinary spans.

    All samplers are in one Collector, which has nothing of ours and is sent everything once.
    """
    directory = tmp_path_factory.mktemp("samplers")
    samplers = MODES | {f"{mode}-again": MODES[mode] for mode in TWICE}
    pipelines = {mode: [mode] for mode in MODES} | {f"{mode}-twice": [mode, f"{mode}-again"] for mode in TWICE}
    config = sampling_config(
        directory,
        {name: [f"probabilistic_sampler/{mode}" for mode in modes] for name, modes in pipelines.items()},
        [f"  probabilistic_sampler/{mode}: {settings}" for mode, settings in samplers.items()],
    )
    spans = [Span("ordinary") for _ in range(ORDINARY)]
    names = {}
    for mark, (attributes, trace_state) in MARKS.items():
        for _ in range(MODELS):
            record = otlp.model_record(otlp.new_model_id(), attributes=attributes, trace_state=trace_state)
            names[record.trace_id] = mark
            spans.append(record)

    with run_collector(config=config) as collector:
        collector.send(spans)

        return {
            pipeline: Counter(
                names.get(span.trace_id, "ordinary") for span in otlp.read_file(directory / f"{pipeline}.jsonl")
            )
            for pipeline in pipelines
        }


def sampling_config(directory: Path, pipelines: Mapping[str, list[str]], processors: list[str]) -> Path:
    """Write the config of a Collector that passes all it gets through each of these pipelines, each into a file."""
    at_once = "rotation: {max_megabytes: 100}"  # Without it, a file holds a second's worth back.
    files = [f"  file/{name}: {{path: {directory}/{name}.jsonl, {at_once}}}" for name in pipelines]
    flows = [
        f"    traces/{name}: {{receivers: [otlp], processors: [{', '.join(chain)}], exporters: [file/{name}]}}"
        for name, chain in pipelines.items()
    ]
    config = directory / "config.yaml"
    config.write_text(
        "\n".join(
            [
                "receivers: {otlp: {protocols: {http: {endpoint: '${env:LOGGEDMODEL_COLLECTOR_HTTP}'}}}}",
                "extensions: {health_check: {endpoint: '${env:LOGGEDMODEL_COLLECTOR_HEALTH}'}}",
                "processors:",
                *processors,
                "exporters:",
                *files,
                "service:",
                "  extensions: [health_check]",
                "  pipelines:",
                *flows,
            ]
        ),
        encoding="utf-8",
    )
    return config


@pytest.mark.parametrize("mode", [*MODES, *(f"{mode}-twice" for mode in TWICE)])
def test_records_pass_the_samplers_of_other_people(survivors: dict[str, Counter[str]], mode: str) -> None:
    kept = survivors[mode]

    assert kept["both"] == MODELS
    # It does sample: 1 % is 20, and nobody sees 60 by chance.
    assert kept["ordinary"] < 60


@pytest.mark.parametrize("mode", MODES)
def test_priority_is_a_number_or_its_text(survivors: dict[str, Counter[str]], mode: str) -> None:
    kept = survivors[mode]

    assert [kept[f"priority{kind}"] for kind in ("", "-double", "-text")] == [MODELS] * 3
    assert kept["priority-bool"] < MODELS / 4


def test_the_trace_state_alone_loses_records_where_it_is_not_understood(survivors: dict[str, Counter[str]]) -> None:
    # In this mode, the default, explicit randomness is an error, and on errors the default is to drop.
    assert survivors["default"]["state"] == survivors["hash_seed"]["state"] == 0
    consistent = ("proportional", "proportional-open", "equalizing", "equalizing-open", "hash_seed-open")
    assert [survivors[mode]["state"] for mode in consistent] == [MODELS] * len(consistent)


@pytest.fixture(scope="module")
def sampling(run_collector: RunCollector) -> Iterator[Collector]:
    """Run our Collector with a share of 1 %, which it does not wait for in these tests' time."""
    with run_collector({"SAMPLING": "tail_sampling", "KEEP_PERCENT": "1", "DECISION_WAIT": "10m"}) as collector:
        yield collector


def trace_ids(collector: Collector) -> set[str]:
    return {span.trace_id for span in collector.spans()}


def after_the_sampler(collector: Collector) -> set[str]:
    """Return the trace ids that came out once the sampler has seen all that was sent before."""
    # It takes one thing after the other, and keeps an error.
    last = Span("last", error=True)
    collector.send([last])
    wait_until(lambda: last.trace_id in trace_ids(collector), "the last span")
    return trace_ids(collector)


def test_our_sampler_keeps_a_share_of_ordinary_traces(sampling: Collector) -> None:
    ordinary = [Span("ordinary", attributes={"logged_model.id": "m-1"}) for _ in range(ORDINARY)]

    sampling.send(ordinary)

    kept = after_the_sampler(sampling) & {span.trace_id for span in ordinary}
    assert 1 <= len(kept) < 60


def test_what_our_sampler_keeps_says_what_share_that_is(sampling: Collector) -> None:
    """On entry spans; without sampling, nothing does."""
    root = Span("failed", error=True)
    step = root.child("step", error=True)

    sampling.send([step])
    sampling.send([root])

    after_the_sampler(sampling)
    said = {
        span.name: span.attributes.get("logged_model.sampling.percent")
        for span in sampling.spans()
        if span.trace_id == root.trace_id
    }
    assert said == {"failed": 1, "step": None}


def test_without_our_sampler_nothing_says_a_share(run_collector: RunCollector) -> None:
    with run_collector({"KEEP_PERCENT": "10"}) as collector:
        collector.send([Span("whole")])
        wait_until(lambda: bool(list(collector.spans())), "the span")
        assert [span.attributes.get("logged_model.sampling.percent") for span in collector.spans()] == [None]


def test_our_sampler_keeps_every_trace_with_an_error_whole(sampling: Collector) -> None:
    roots = [Span("root", error=True) for _ in range(100)]
    # The step ends, and is sent, before the failure of the whole is known.
    steps = [root.child("step") for root in roots]

    sampling.send(steps)
    sampling.send(roots)

    after_the_sampler(sampling)
    came_out = Counter(span.trace_id for span in sampling.spans())
    assert [came_out[root.trace_id] for root in roots] == [2] * 100


def test_records_and_evaluation_results_do_not_wait_for_our_sampler(sampling: Collector) -> None:
    models = [otlp.new_model_id() for _ in range(MODELS)]
    # Whatever the marks: these are for the samplers of other people.
    records = [otlp.model_record(model, attributes={}, trace_state="") for model in models]
    activations = [otlp.model_record(model, event="activated", attributes={}, trace_state="") for model in models]
    answers = [Span("answer", attributes={"logged_model.id": model}) for model in models]
    results = [otlp.evaluation_result(answer, model) for answer, model in zip(answers, models, strict=True)]

    sampling.send(answers)
    # Each model's trace, and each answer's, comes in several requests.
    for batch in (records, activations, results):
        sampling.send(batch)

    came_out = {span.span_id for span in sampling.spans()}
    assert {span.span_id for span in (*records, *activations, *results)} <= came_out
    assert Counter(span.name for span in sampling.spans())["gen_ai.evaluation.result"] == len(results)


def test_an_error_is_kept_when_its_trace_was_given_up(run_collector: RunCollector) -> None:
    settings = {"SAMPLING": "tail_sampling", "KEEP_PERCENT": "0.001", "DECISION_WAIT": "1s"}
    with run_collector(settings) as collector:
        traces = [Span("root") for _ in range(200)]
        collector.send([root.child("early") for root in traces])
        remaining = iter(traces)

        def names_in_the_next_trace() -> list[str]:
            root = next(remaining)
            collector.send([root.child("error", error=True)])
            collector.send([root])
            after_the_sampler(collector)
            return [span.name for span in collector.spans() if span.trace_id == root.trace_id]

        # Until then the step that had come early waits, and comes out with the error.
        wait_until(lambda: names_in_the_next_trace() == ["error", "root"], "a trace to be given up")


def test_the_policy_for_tail_samplers_of_other_people_keeps_records(
    run_collector: RunCollector, tmp_path: Path
) -> None:
    # As a comment in collector-config.yaml has it, to be copied.
    lines = CONFIG.read_text(encoding="utf-8").splitlines()
    first = lines.index("  #     - name: logged-models")
    policy = [line.removeprefix("  # ") for line in itertools.takewhile(lambda line: "#    " in line, lines[first:])]
    config = sampling_config(
        tmp_path,
        {"tail": ["tail_sampling"]},
        [
            "  tail_sampling:",
            "    decision_wait: 1s",
            "    policies:",
            "      - {name: share, type: probabilistic, probabilistic: {sampling_percentage: 1}}",
            *(f"  {line}" for line in policy),
        ],
    )
    records = [otlp.model_record(otlp.new_model_id()) for _ in range(MODELS)]
    ordinary = [Span("ordinary") for _ in range(ORDINARY)]

    with run_collector(config=config) as collector:
        collector.send([*ordinary, *records])

        def kept(spans: list[Span]) -> int:
            return len(
                {span.span_id for span in spans} & {one.span_id for one in otlp.read_file(tmp_path / "tail.jsonl")}
            )

        wait_until(lambda: kept(records) == MODELS, "all records")
        assert kept(ordinary) < 60


def test_nobody_waits_where_nothing_is_sampled(run_collector: RunCollector) -> None:
    with run_collector() as collector:
        spans = [Span("work") for _ in range(100)]
        collector.send(spans)

        assert {span.span_id for span in collector.spans()} == {span.span_id for span in spans}
