# SPDX-License-Identifier: Apache-2.0
import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import times
from otel_loggedmodel.versions import identity


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MANY_VERSIONS = times(full=1_000_000, quick=50_000)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
mappings = st.dictionaries(texts, texts, max_size=5)


def test_id_is_built_as_the_format_says() -> None:
    family = sha('["0","my-agent"]')[:16]
    content = '{"model_type":"agent","params":{"a":"1","b":"ü"},"source_run_id":"r","tags":{"t":"x"}}'
    revision = sha(f'["0","my-agent",{content}]')[:16]
    model_id = identity.model_id_of(
        "0", "my-agent", model_type="agent", params={"b": "ü", "a": "1"}, source_run_id="r", tags={"t": "x"}
    )
    assert model_id == f"m-{family}{revision}"


def test_published_ids_never_change() -> None:
    # Written out, so that no change of code can change what is stored in backends already.
    assert identity.reference_to("0", "my-agent-v1.0") == "m-ca8be93fb70cdbbc347905825d16bf42"
    assert identity.model_id_of("0", "demo", params={"k": "v"}) == "m-ea9d7c34cd80b5d162732b161ccaa058"
    assert identity.model_id_of("0", "demo") == "m-ea9d7c34cd80b5d18c4779bf77cf53ad"


def test_a_reference_by_name_is_built_as_the_format_says() -> None:
    family = sha('["0","my-agent-v1.0"]')[:16]
    assert identity.reference_to("0", "my-agent-v1.0") == f"m-{family}{sha('reference:' + family)[:16]}"


def test_absent_and_empty_parts_are_left_out() -> None:
    plain = identity.model_id_of("0", "a")
    assert plain == identity.model_id_of("0", "a", model_type="", params={}, source_run_id=None, tags={})
    assert plain != identity.model_id_of("0", "a", tags={"x": ""})


@given(texts, texts, mappings)
def test_a_reference_is_told_by_its_id_alone(experiment, name, params) -> None:
    reference = identity.reference_to(experiment, name)
    version = identity.model_id_of(experiment, name, params=params)
    assert identity.is_reference(reference)
    assert not identity.is_reference(version)
    assert reference[:18] == version[:18]


def test_no_low_half_is_zero_or_shared() -> None:
    # Samplers, Zipkin and Datadog take the low half of a trace id for random.
    names = MANY_VERSIONS // 5
    halves = set()
    for number in range(names):
        name = f"agent-{number}"
        halves.add(identity.reference_to("0", name)[18:])
        halves.add(identity.model_id_of("0", name)[18:])
        halves |= {identity.model_id_of("0", name, params={"k": value})[18:] for value in "abc"}
    assert len(halves) == 5 * names
    assert "0" * 16 not in halves


def test_versions_of_one_name_share_a_prefix_and_experiments_do_not() -> None:
    one, two = identity.model_id_of("0", "a", params={"k": "1"}), identity.model_id_of("0", "a", params={"k": "2"})
    assert one[:18] == two[:18]
    assert one != two
    assert identity.model_id_of("1", "a")[:18] != one[:18]


@given(texts, texts, mappings, mappings, st.none() | texts, st.none() | texts)
def test_id_has_the_shape_and_is_its_own_trace_id(experiment, name, params, tags, model_type, run) -> None:
    model_id = identity.model_id_of(
        experiment, name, model_type=model_type, params=params, source_run_id=run, tags=tags
    )
    assert identity.has_id_shape(model_id)
    assert f"{identity.trace_id_of(model_id):032x}" == model_id[2:]
    assert 0 < identity.root_span_id_of(model_id) < 2**64
    reordered = dict(reversed(params.items()))
    assert model_id == identity.model_id_of(
        experiment, name, model_type=model_type, params=reordered, source_run_id=run, tags=tags
    )


@given(mappings, mappings)
def test_any_difference_is_another_version(params, other) -> None:
    same = identity.model_id_of("0", "a", params=params) == identity.model_id_of("0", "a", params=other)
    assert same == (params == other)


def test_a_param_is_not_a_tag() -> None:
    assert identity.model_id_of("0", "a", params={"k": "v"}) != identity.model_id_of("0", "a", tags={"k": "v"})


@pytest.mark.parametrize("model_id", ["my-agent-v1.0", "m-abc", "m-" + "A" * 32, "m-" + "0" * 32, "x" * 128, "ä"])
def test_ids_of_another_shape_are_hashed(model_id: str) -> None:
    assert not identity.has_id_shape(model_id)
    assert not identity.is_reference(model_id)
    assert f"{identity.trace_id_of(model_id):032x}" == sha(model_id)[:32]
    assert f"{identity.root_span_id_of(model_id):016x}" == sha("span:" + model_id)[:16]


def test_other_processes_find_the_same_id() -> None:
    program = (
        "from otel_loggedmodel import create_external_model as c; print(c('a', params={'k': 'ü', 'l': 'x'}).model_id)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {identity.model_id_of("0", "a", params={"k": "ü", "l": "x"}) + "\n"}
