# SPDX-License-Identifier: Apache-2.0
"""Who may do what in which experiment."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from otel_loggedmodel.genai import Feedback
from otel_loggedmodel.mlflow_server.models import Models
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.mlflow_server.traces import Traces
from otel_loggedmodel.versions.model import ModelEvent

from .conftest import ADMIN, ANNA, READER
from .test_models import created, updated
from .test_traces import result_of
from .tracking_servers import MlflowServer
from .traffic import make_trace, random_id, send


def is_refused(error: ServerError) -> bool:
    """Whether it is the same for everything else."""
    return not error.may_pass and not error.is_of_content


def test_an_experiment_is_made_by_name(server: MlflowServer, client: MlflowClient) -> None:
    name = f"shop/{uuid.uuid4().hex} é"
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: Server(Settings(server.uri, experiment_name=name)).experiment_id, range(8)))
    assert ids == {client.get_experiment_by_name(name).experiment_id}


def test_the_default_experiment_is_there(server: MlflowServer) -> None:
    assert Server(Settings(server.uri)).experiment_id == "0"


@pytest.mark.parametrize("experiment_id", ["987654", "no number"])
def test_an_experiment_that_is_not_there_says_what_to_set(server: MlflowServer, experiment_id: str) -> None:
    with pytest.raises(ServerError, match="MLFLOW_EXPERIMENT_ID") as caught:
        Models(Server(Settings(server.uri, experiment_id=experiment_id))).id_of("agent")
    assert is_refused(caught.value)
    assert experiment_id in str(caught.value)


def test_a_deleted_experiment_is_told(server: MlflowServer, client: MlflowClient, experiment_id: str) -> None:
    rest = Server(Settings(server.uri, experiment_id=experiment_id))
    models = Models(rest, jitter=0)
    traces = Traces(rest, models)
    traces.link(make_trace("agent").link)
    name = client.get_experiment(experiment_id).name
    client.delete_experiment(experiment_id)
    for settings in (Settings(server.uri, experiment_id=experiment_id), Settings(server.uri, experiment_name=name)):
        with pytest.raises(ServerError, match="is deleted: restore it") as caught:
            Server(settings).otlp_headers()
        assert is_refused(caught.value)
    with pytest.raises(ServerError, match="MLFLOW_EXPERIMENT_ID") as caught:  # deleted while it was in use
        traces.link(make_trace("agent").link)
    assert is_refused(caught.value)
    client.restore_experiment(experiment_id)
    traces.link(make_trace("agent").link)


def test_a_user_who_may_edit_the_experiment_needs_no_more(guarded_server: MlflowServer) -> None:
    rest = Server(Settings(guarded_server.uri, experiment_name="annas", username=ANNA[0], password=ANNA[1]))
    models = Models(rest, jitter=0)
    traces = Traces(rest, models)
    event = created("agent-v1.0", params={"a": "1"})
    models.apply(event)
    models.apply(updated(event.model_id, tags={"x": "y"}, params={"b": "2"}))
    assert Models(rest).find(event.model_id) == models.id_of(event.model_id)
    assert Models(rest).find(random_id()) is None
    trace = make_trace(event.model_id)
    result = result_of(trace, Feedback("correctness", 1.0))
    with pytest.raises(ServerError) as caught:  # to this user, what is not there is forbidden
        traces.assess(result)
    assert caught.value.is_absent
    traces.link(trace.link)
    send(rest, trace)
    traces.assess(result)
    traces.assess(result)
    absent = [make_trace("m").link.trace_id for _ in range(3)]
    infos = traces.infos([*absent[:2], trace.link.trace_id, *absent[2:]])
    assert list(infos) == [trace.link.trace_id]
    assert len(infos[trace.link.trace_id]["assessments"]) == 1
    assert models.id_of("agent-v1.0") == models.id_of(event.model_id)
    models.apply(ModelEvent("deleted", event.model_id, time.time_ns(), span_id=1))
    assert Models(rest).find(event.model_id) is None


def test_users_who_start_together_make_one_logged_model(guarded_server: MlflowServer) -> None:
    settings = Settings(guarded_server.uri, experiment_name="annas", username=ANNA[0], password=ANNA[1])
    event = created("agent", params={"n": uuid.uuid4().hex})

    def resolve(_: int) -> str:
        models = Models(Server(settings), jitter=0)
        models.apply(event)
        return models.id_of(event.model_id)

    with ThreadPoolExecutor(3) as threads:
        assert len(set(threads.map(resolve, range(3)))) == 1


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({}, "nothing was sent: set MLFLOW_TRACKING_USERNAME"),
        ({"username": ANNA[0], "password": "wrong"}, "the user name and password were sent"),
        ({"token": "a-token"}, "the token was sent"),
    ],
)
def test_wrong_credentials_are_told(guarded_server: MlflowServer, credentials: dict[str, str], words: str) -> None:
    rest = Server(Settings(guarded_server.uri, **credentials))
    with pytest.raises(ServerError, match=words) as caught:
        rest.otlp_headers()
    assert is_refused(caught.value)
    assert caught.value.status == 401


def test_a_user_who_may_only_read_is_told(guarded_server: MlflowServer) -> None:
    Server(Settings(guarded_server.uri, experiment_name="admins", username=ADMIN[0], password=ADMIN[1])).otlp_headers()
    rest = Server(Settings(guarded_server.uri, experiment_name="admins", username=READER[0], password=READER[1]))
    models = Models(rest, jitter=0)
    for action in (lambda: models.id_of("agent"), lambda: Traces(rest, models).link(make_trace("m").link)):
        with pytest.raises(ServerError, match="ask for the right to edit the experiment") as caught:
            action()
        assert is_refused(caught.value)
