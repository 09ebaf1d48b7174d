# SPDX-License-Identifier: Apache-2.0
import copy
import dataclasses
import pickle

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel import LoggedModel, LoggedModelStatus
from otel_loggedmodel._checking import MAX_MODEL_BYTES


def test_a_model_is_a_read_only_snapshot() -> None:
    tags = {"team": "a"}
    model = mlflow.create_external_model("a", tags=tags, params={"k": "v"})
    tags["team"] = "b"
    assert model.tags == {"team": "a"}
    with pytest.raises(TypeError):
        model.tags["team"] = "c"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "b"  # type: ignore[misc]
    mlflow.set_logged_model_tags(model.model_id, {"team": "c"})
    assert model.tags == {"team": "a"}
    assert mlflow.get_logged_model(model.model_id).tags == {"team": "c"}


def test_a_model_survives_pickle_and_copy() -> None:
    model = mlflow.create_external_model("a", tags={"t": "1"}, params={"k": "v"}, model_type="agent")
    for other in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert other == model
        assert hash(other) == hash(model)
        assert other.params == {"k": "v"}


def test_an_active_model_is_a_logged_model_and_pickles_as_one() -> None:
    active = mlflow.set_active_model("a")
    assert isinstance(active, LoggedModel)
    assert active == mlflow.get_logged_model(active.model_id)
    unpickled = pickle.loads(pickle.dumps(active))
    assert type(unpickled) is LoggedModel
    assert unpickled == active


def test_model_uri() -> None:
    model = mlflow.create_external_model("a")
    assert model.model_uri == f"models:/{model.model_id}"


def test_status_equals_its_text() -> None:
    model = mlflow.create_external_model("a")
    assert model.status == "READY"
    assert model.status is LoggedModelStatus.READY
    assert str(model.status) == f"{model.status}" == "READY"
    assert [str(status) for status in LoggedModelStatus] == ["PENDING", "READY", "FAILED", "FAILED_REGISTRATION"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.7, '"temperature" is float 0.7: pass "0.7"'),
        (5, '"temperature" is int 5: pass "5"'),
        (True, '"temperature" is bool True: pass "True"'),
        (None, '"temperature" is NoneType None: leave the key out'),
        ({"a": 1}, "\"temperature\" is dict {'a': 1}: pass a string"),
        (b"x", "\"temperature\" is bytes b'x': pass a string"),
    ],
)
@pytest.mark.parametrize("argument", ["params", "tags"])
def test_values_that_are_not_strings_are_refused_with_the_fix(argument: str, value: object, message: str) -> None:
    with pytest.raises(TypeError) as raised:
        mlflow.create_external_model("a", **{argument: {"ok": "1", "temperature": value}})  # type: ignore[arg-type]
    assert str(raised.value).startswith(f"{argument}: {message}")


def test_keys_and_mappings_are_checked() -> None:
    with pytest.raises(TypeError, match=r"params has a key that is int 1: pass '1'"):
        mlflow.create_external_model("a", params={1: "x"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"tags is list .*: pass a dict of strings to strings"):
        mlflow.create_external_model("a", tags=["x"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tags has a key of 0 characters"):
        mlflow.create_external_model("a", tags={"": "x"})
    with pytest.raises(ValueError, match="lone surrogate"):
        mlflow.create_external_model("a", params={"prompt": "\ud800"})


def test_ten_megabytes_of_params_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"params take 10,000,001 bytes, the limit is 1,048,576: .* address or digest"):
        mlflow.create_external_model("a", params={"k": "x" * 10_000_000})
    half = "x" * (MAX_MODEL_BYTES // 2)
    with pytest.raises(ValueError, match="params and tags take"):
        mlflow.create_external_model("a", params={"k": half}, tags={"k": half})
    model = mlflow.create_external_model("a", params={"k": half})
    with pytest.raises(ValueError, match=f"params and tags of {model.model_id} take"):
        mlflow.set_logged_model_tags(model.model_id, {"k": half})


@pytest.mark.parametrize(
    "name", ["v1.0", "a/b:c", "ünïcode", "🚀", "👩‍💻 agent", "x" * 256, "my-agent-v1.0", "'; DROP"]
)
def test_names_that_are_fine(name: str) -> None:
    assert mlflow.create_external_model(name).name == name
    assert mlflow.set_active_model(name).name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name is empty"),
        ("  ", "name is empty"),
        ("x" * 500, "name has 500 characters, the limit is 256"),
        ("a\nb", r"name 'a\\nb' contains the control character '\\n'"),
        ("a\x00", "control character"),
        ("a\ud800", "control character"),
        (" a", "begins or ends with white space: pass 'a'"),
    ],
)
def test_names_that_are_refused_with_the_fix(name: str, message: str) -> None:
    for call in (mlflow.create_external_model, mlflow.set_active_model, mlflow.use_model):
        with pytest.raises(ValueError, match=message):
            call(name)


def test_a_name_that_is_an_id_is_refused_with_the_fix() -> None:
    model_id = "m-" + "a" * 32
    for call in (mlflow.create_external_model, mlflow.set_active_model):
        with pytest.raises(ValueError, match=f"name '{model_id}' is an id: pass model_id='{model_id}'"):
            call(model_id)
    with mlflow.use_model(model_id) as model:
        assert model.model_id == model_id


def test_names_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="name is int 3: pass a string"):
        mlflow.set_active_model(3)  # type: ignore[arg-type]
    model = mlflow.create_external_model("a")
    with pytest.raises(TypeError, match=f"pass its id, model_id='{model.model_id}'"):
        mlflow.set_active_model(model)  # type: ignore[arg-type]
