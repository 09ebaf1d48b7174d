# SPDX-License-Identifier: Apache-2.0
"""Versions as LoggedModels, seen through MLflow's own client."""

import dataclasses
import time

import mlflow
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus as ServerStatus

from otel_loggedmodel.mlflow_server import models as models_module
from otel_loggedmodel.mlflow_server.documents import BOOKKEEPING_PARAMS, BOOKKEEPING_TAGS, DUPLICATE, ID
from otel_loggedmodel.mlflow_server.models import Models, UnknownModelError
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.versions.identity import model_id_of, reference_to
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, ModelEvent

from .traffic import random_id

ODD_TEXTS = ["", " ", "0.7", "true", "null", "ünïcødé 🚀", "line\nbreak", "\"quotes\" and 'these'", "x" * 20_000, "{}"]


def created(name: str, **more: object) -> ModelEvent:
    """The event of a version that was created now."""
    content = {key: more.get(key) for key in ("model_type", "params", "source_run_id", "tags")}
    model_id = model_id_of("0", name, **content)  # type: ignore[arg-type]
    return ModelEvent("created", model_id, time.time_ns(), name=name, status=LoggedModelStatus.READY, **more)  # type: ignore[arg-type]


def referred(name: str) -> ModelEvent:
    """The event of a process that knows a name alone."""
    return ModelEvent("created", reference_to("0", name), time.time_ns(), name=name, status=LoggedModelStatus.READY)


def updated(model_id: str, time_ns: int | None = None, **more: object) -> ModelEvent:
    return ModelEvent("updated", model_id, time_ns or time.time_ns(), span_id=7, **more)  # type: ignore[arg-type]


def users_own(texts: dict[str, str]) -> dict[str, str]:
    """Without what this library keeps there."""
    return {key: text for key, text in texts.items() if key not in (*BOOKKEEPING_TAGS, *BOOKKEEPING_PARAMS)}


def all_of(client: MlflowClient, experiment_id: str) -> list[mlflow.entities.LoggedModel]:
    return client.search_logged_models([experiment_id])


def test_a_version_is_a_logged_model_with_all_that_it_was_made_of(
    client: MlflowClient, models: Models, experiment_id: str
) -> None:
    run_id = client.create_run(experiment_id).info.run_id
    params = {"llm": "gpt-4o", "temperature": "0.7"}
    event = created("support-agent", model_type="rag", params=params, tags={"team": "support"}, source_run_id=run_id)
    models.apply(event)
    (found,) = all_of(client, experiment_id)
    assert found.model_id == models.id_of(event.model_id)
    assert (found.name, found.model_type, found.source_run_id) == ("support-agent", "rag", run_id)
    assert (users_own(found.params), users_own(found.tags)) == (params, {"team": "support"})
    assert found.tags[ID] == found.params[ID] == event.model_id
    assert found.status is ServerStatus.READY


def test_a_run_of_another_place_is_kept_as_a_tag(client: MlflowClient, models: Models, experiment_id: str) -> None:
    models.apply(created("agent", source_run_id="build 17"))
    (found,) = all_of(client, experiment_id)
    assert not found.source_run_id
    assert found.tags["logged_model.source_run_id"] == "build 17"


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("my-agent-v1.0", "my-agent-v1-0"),
        ("a/b:c.d%e\"f'g", "a-b-c-d-e-f-g"),
        ("back\\slash`tick", "back-slash-tick"),
        ("...", "---"),
        ("Агент 客服 🤖", "Агент 客服 🤖"),
        ("n" * 256, "n" * 256),
        ("a (b) -- c; d = e AND f", "a (b) -- c; d = e AND f"),
    ],
)
def test_a_name_becomes_one_that_the_server_takes(
    client: MlflowClient, models: Models, rest: Server, experiment_id: str, name: str, legal: str
) -> None:
    event = created(name, params={"k": "3"})
    models.apply(event)
    (found,) = all_of(client, experiment_id)
    assert found.name == legal
    assert found.tags.get("logged_model.name") == (None if name == legal else name)
    # Another process, which knows the name only.
    assert Models(rest).id_of(reference_to("0", name), LoggedModel("", name)) == found.model_id
    assert Models(rest).id_of(name) == found.model_id


def test_names_that_become_the_same_stay_apart(models: Models) -> None:
    first, second = (models.id_of(name) for name in ("agent-v1.0", "agent-v1/0"))
    assert first != second
    assert [models.find(name) for name in ("agent-v1.0", "agent-v1/0", "agent-v1-0")] == [first, second, None]


def test_params_may_be_any_text(client: MlflowClient, models: Models, experiment_id: str) -> None:
    params = {f"key {number} é": text for number, text in enumerate(ODD_TEXTS)}
    models.apply(created("agent", params=params, tags=params))
    (found,) = all_of(client, experiment_id)
    assert users_own(found.params) == params
    assert users_own(found.tags) == params


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=strategies.dictionaries(strategies.text(min_size=1, max_size=30), strategies.text(max_size=50)))
def test_any_texts_come_back_as_they_were(models: Models, client: MlflowClient, texts: dict[str, str]) -> None:
    event = created("agent", params=texts)
    models.apply(event)
    models.apply(updated(event.model_id, tags=texts))
    found = client.get_logged_model(models.id_of(event.model_id))
    assert users_own(found.params) == users_own(texts)
    assert users_own(found.tags) == users_own(texts)


def test_params_are_added_and_never_changed(client: MlflowClient, models: Models, rest: Server) -> None:
    event = created("agent", params={"a": "1"})
    models.apply(event)
    Models(rest).apply(updated(event.model_id, params={"a": "2", "b": "2"}))
    Models(rest).apply(updated(event.model_id, params={"a": "1", "b": "3", "c": "3"}))
    assert users_own(client.get_logged_model(models.id_of(event.model_id)).params) == {"a": "1", "b": "2", "c": "3"}


def test_tags_and_status_follow_what_happens(client: MlflowClient, models: Models) -> None:
    event = created("agent", tags={"team": "support", "stage": "test"})
    models.apply(event)
    server_id = models.id_of(event.model_id)
    models.apply(updated(event.model_id, tags={"stage": "live", "a/b c": "ü"}, tags_deleted=("team", "never there")))
    models.apply(updated(event.model_id, status=LoggedModelStatus.FAILED))
    found = client.get_logged_model(server_id)
    assert users_own(found.tags) == {"stage": "live", "a/b c": "ü"}
    assert found.status is ServerStatus.FAILED
    models.apply(updated(event.model_id, tags_deleted=("a/b c", "stage")))
    # The server cannot be told to delete a tag with a slash.
    assert users_own(client.get_logged_model(server_id).tags) == {"a/b c": ""}


def test_what_is_told_again_changes_nothing(
    client: MlflowClient, models: Models, rest: Server, experiment_id: str
) -> None:
    start = time.time_ns()
    event = dataclasses.replace(created("agent", params={"a": "1"}, tags={"stage": "test"}), time_ns=start)
    older = updated(event.model_id, start + 1, tags={"stage": "live", "by": "me"}, status=LoggedModelStatus.FAILED)
    newer = updated(
        event.model_id, start + 2, tags={"stage": "old"}, tags_deleted=("by",), status=LoggedModelStatus.READY
    )
    for one in (event, older, newer):
        models.apply(one)
    server_id = models.id_of(event.model_id)
    client.set_logged_model_tags(server_id, {"reviewed": "by a person"})
    before = client.get_logged_model(server_id)
    # Every process tells all it knows every few hours, and a newly started one again.
    for one in (event, older, newer, older):
        models.apply(one)
        Models(rest).apply(one)
    after = client.get_logged_model(server_id)
    assert users_own(after.tags) == {"stage": "old", "reviewed": "by a person"}
    assert after.to_dictionary() == before.to_dictionary()
    assert len(all_of(client, experiment_id)) == 1


def test_an_activation_makes_nothing_of_an_unknown_id(client: MlflowClient, models: Models, experiment_id: str) -> None:
    models.apply(ModelEvent("activated", random_id(), time.time_ns(), span_id=1))
    assert all_of(client, experiment_id) == []
    with pytest.raises(UnknownModelError, match="name is not known"):
        models.id_of(random_id())


def test_a_deletion_deletes_and_old_news_do_not_bring_it_back(
    client: MlflowClient, models: Models, experiment_id: str
) -> None:
    event = created("agent", params={"a": "1"})
    models.apply(event)
    server_id = models.id_of(event.model_id)
    models.apply(ModelEvent("deleted", event.model_id, time.time_ns(), span_id=1))
    models.apply(event)
    models.apply(updated(event.model_id, tags={"a": "b"}))
    assert all_of(client, experiment_id) == []
    assert models.id_of(event.model_id) == server_id  # for a trace that ended late
    models.apply(dataclasses.replace(event, time_ns=time.time_ns()))
    (found,) = all_of(client, experiment_id)
    assert found.model_id == models.id_of(event.model_id) != server_id


def test_a_name_is_not_deleted_with_what_stands_for_it(
    client: MlflowClient, models: Models, experiment_id: str
) -> None:
    client.create_logged_model(experiment_id, name="agent")
    reference = referred("agent")
    models.apply(reference)
    models.apply(ModelEvent("deleted", reference.model_id, time.time_ns(), span_id=1))
    assert len(all_of(client, experiment_id)) == 1


def test_one_that_somebody_deleted_is_made_again(
    client: MlflowClient, models: Models, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = created("agent", params={"a": "1"})
    models.apply(event)
    first = models.id_of(event.model_id)
    client.delete_logged_model(first)
    assert models.id_of(event.model_id) == first  # not asked for every trace
    monkeypatch.setattr(models_module, "RECHECK_SECONDS", 0.0)
    second = models.id_of(event.model_id)
    (found,) = all_of(client, experiment_id)
    assert found.model_id == second != first
    assert users_own(found.params) == {"a": "1"}
    client.delete_logged_model(second)
    models.apply(updated(event.model_id, tags={"x": "y"}))
    (found,) = all_of(client, experiment_id)
    assert users_own(found.tags) == {"x": "y"}


def test_the_servers_own_id_is_used_as_it_is(client: MlflowClient, models: Models, experiment_id: str) -> None:
    made = mlflow.create_external_model("agent", experiment_id=experiment_id, params={"a": "1"})
    models.apply(ModelEvent("activated", made.model_id, time.time_ns(), span_id=1))
    assert models.id_of(made.model_id) == made.model_id
    models.apply(updated(made.model_id, tags={"x": "y"}, params={"b": "2"}))
    (found,) = all_of(client, experiment_id)
    assert found.model_id == made.model_id
    assert (found.tags["x"], found.params) == ("y", {"a": "1", "b": "2"})


def test_a_name_stands_for_its_newest_version(client: MlflowClient, models: Models, experiment_id: str) -> None:
    client.create_logged_model(experiment_id, name="agent", params={"a": "1"})
    newest = client.create_logged_model(experiment_id, name="agent", params={"a": "2"})
    client.create_logged_model(experiment_id, name="another", params={"a": "2"})
    reference = reference_to("0", "agent")
    models.apply(ModelEvent("activated", reference, time.time_ns(), span_id=1, name="agent"))
    assert models.id_of(reference) == models.id_of("agent") == newest.model_id
    assert len(all_of(client, experiment_id)) == 3


def test_a_name_without_versions_becomes_one(client: MlflowClient, models: Models, experiment_id: str) -> None:
    assert models.find("agent-v1.0") is None
    made = models.id_of("agent-v1.0")
    assert models.id_of(reference_to("0", "agent-v1.0"), LoggedModel("", "agent-v1.0")) == made
    (found,) = all_of(client, experiment_id)
    assert (found.model_id, found.status, found.name) == (made, ServerStatus.READY, "agent-v1-0")


def test_a_reference_with_params_of_its_own_stands_for_itself(
    client: MlflowClient, models: Models, experiment_id: str
) -> None:
    other = client.create_logged_model(experiment_id, name="agent", params={"a": "2"})
    reference = referred("agent")
    models.apply(reference)
    assert models.id_of(reference.model_id) == other.model_id
    models.apply(updated(reference.model_id, params={"a": "3"}))
    assert models.id_of(reference.model_id) != other.model_id
    by_id = {model.model_id: users_own(model.params) for model in all_of(client, experiment_id)}
    assert by_id == {other.model_id: {"a": "2"}, models.id_of(reference.model_id): {"a": "3"}}


def test_what_a_process_left_half_done_is_finished_by_the_next(
    client: MlflowClient, models: Models, experiment_id: str
) -> None:
    event = created("agent", params={"a": "1"})
    half = [client.create_logged_model(experiment_id, "agent", tags={ID: event.model_id}) for _ in range(3)]
    client.log_model_params(half[0].model_id, {ID: DUPLICATE})
    models.apply(event)
    (found,) = all_of(client, experiment_id)
    assert found.model_id == half[1].model_id
    assert (found.status, users_own(found.params)) == (ServerStatus.READY, {"a": "1"})
