# SPDX-License-Identifier: Apache-2.0
import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.versions import identity


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
mappings = st.dictionaries(texts, texts, max_size=5)


def test_id_is_built_as_the_format_says() -> None:
    family = sha('["0","my-agent"]')[:16]
    revision = sha('{"model_type":"agent","params":{"a":"1","b":"ü"},"source_run_id":"r","tags":{"t":"x"}}')[:16]
    model_id = identity.model_id_of(
        "0", "my-agent", model_type="agent", params={"b": "ü", "a": "1"}, source_run_id="r", tags={"t": "x"}
    )
    assert model_id == f"m-{family}{revision}"


def test_published_ids_never_change() -> None:
    # Written out, so that no change of code can change what is stored in backends already.
    assert identity.reference_to("0", "my-agent-v1.0") == "m-" + sha('["0","my-agent-v1.0"]')[:16] + "0" * 16
    assert identity.model_id_of("0", "demo", params={"k": "v"}) == "m-ea9d7c34cd80b5d19c2c6d59e4f37cdb"


def test_absent_and_empty_parts_are_left_out() -> None:
    plain = identity.model_id_of("0", "a")
    assert plain == identity.model_id_of("0", "a", model_type="", params={}, source_run_id=None, tags={})
    assert plain == identity.reference_to("0", "a")
    assert identity.is_reference(plain)
    assert not identity.is_reference(identity.model_id_of("0", "a", tags={"x": ""}))


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
