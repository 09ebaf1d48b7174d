# SPDX-License-Identifier: Apache-2.0
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry import context as context_api

from answering import Answer, AnsweringServer, as_json
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings

NOT_FOUND = b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<p>Please check your spelling.</p>"


def refusal_of(answer: Answer, settings: Callable[[str], Settings] = Settings, path: str = "/api/x") -> ServerError:
    """What a call raises that is answered so."""
    with AnsweringServer(lambda *_: answer) as there, pytest.raises(ServerError) as caught:
        Server(settings(there.uri)).call("POST", path, {})
    return caught.value


def kind_of(error: ServerError) -> str:
    return "later" if error.may_pass else "content" if error.is_of_content else "refused"


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid model name"}, "content"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Logged model with ID 'm' not found."}, "content"),
        (413, {}, "content"),
        (422, {"detail": "Field required"}, "content"),
        (500, {"error_code": "INTERNAL_ERROR", "message": "KeyError: 'x'"}, "content"),
        (500, {"error_code": "INTERNAL_ERROR", "message": "(sqlite3.OperationalError) database is locked"}, "later"),
        (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "database is locked"}, "later"),
        (429, {}, "later"),
        (502, {}, "later"),
        (504, {}, "later"),
        (501, {}, "refused"),
        (404, {"error_code": "ENDPOINT_NOT_FOUND"}, "refused"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=7 exists"}, "refused"),
        (400, {"message": "The experiment 7 must be in the 'active' state. Current state is deleted."}, "refused"),
    ],
)
def test_a_refusal_says_whether_to_try_again(status: int, document: dict[str, str], kind: str) -> None:
    error = refusal_of(as_json(status, document))
    assert (error.status, error.error_code, kind_of(error)) == (status, document.get("error_code", ""), kind)
    assert document.get("message", "") in str(error)


def test_the_server_may_say_how_long_to_wait() -> None:
    assert refusal_of((429, {"retry-after": "7"}, b"")).retry_after == 7.0
    assert refusal_of((503, {}, b"")).retry_after is None


@pytest.mark.parametrize("path", ["/api/3.0/mlflow/traces", "/api/2.0/mlflow/logged-models"])
def test_an_old_server_is_told_from_a_thing_that_is_not_there(path: str) -> None:
    # As MLflow 2.22 answers to what it does not have.
    error = refusal_of((404, {"content-type": "text/html; charset=utf-8"}, NOT_FOUND), path=path)
    assert (kind_of(error), error.is_absent) == ("refused", False)
    assert "MLflow has from 3.6 on" in str(error)
    assert "<" not in str(error)


def test_wrong_credentials_say_which_variables_to_set() -> None:
    unauthorized = (401, {"www-authenticate": 'Basic realm="mlflow"'}, b"You are not authenticated.")
    assert "nothing was sent: set MLFLOW_TRACKING_USERNAME" in str(refusal_of(unauthorized))
    error = refusal_of(unauthorized, lambda uri: Settings(uri, token="secret"))
    assert "the token was sent" in str(error)
    assert "secret" not in str(error)
    forbidden = refusal_of((403, {}, b"Permission denied"), lambda uri: Settings(uri, username="anna", password="x"))
    assert "the user name and password were sent" in str(forbidden)
    assert "ask for the right" in str(forbidden)
    assert {kind_of(error), kind_of(forbidden)} == {"refused"}


def test_what_is_no_mlflow_server_is_told() -> None:
    login = refusal_of((200, {"content-type": "text/html"}, b"<html>Log in</html>"))
    assert "is that an MLflow server" in str(login)
    moved = refusal_of((301, {"location": "https://elsewhere/"}, b""))
    assert "redirects to https://elsewhere/: set MLFLOW_TRACKING_URI" in str(moved)
    assert {kind_of(login), kind_of(moved)} == {"refused"}


def test_a_server_that_is_away_may_come_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ServerError, match="cannot be reached") as refused:
            Server(Settings(f"http://127.0.0.1:{unused.getsockname()[1]}")).call("GET", "/x")
        unused.listen()
        with pytest.raises(ServerError, match="cannot be reached") as silent:
            Server(Settings(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=0.2)).call("GET", "/x")
    assert [kind_of(error.value) for error in (refused, silent)] == ["later", "later"]
    assert refused.value.status is None


def test_a_connection_that_the_server_closed_is_made_again() -> None:
    answers = iter([as_json(200, {"n": 1}), (0, {}, b""), as_json(200, {"n": 2}), (0, {}, b""), (0, {}, b"")])
    with AnsweringServer(lambda *_: next(answers)) as there:
        server = Server(Settings(there.uri))
        assert [server.call("POST", "/x", {})["n"] for _ in range(2)] == [1, 2]
        with pytest.raises(ServerError) as caught:  # not for ever
            server.call("POST", "/x", {})
        assert kind_of(caught.value) == "later"
        assert len(there.requests) == 5
        server.close()


def test_connections_are_kept_and_bounded() -> None:
    at_once, most = threading.Semaphore(0), []
    lock = threading.Lock()
    under_way = 0

    def answer(*_: object) -> Answer:
        nonlocal under_way
        with lock:
            under_way += 1
            most.append(under_way)
        at_once.acquire(timeout=0.05)
        with lock:
            under_way -= 1
        return as_json(200, {})

    with AnsweringServer(answer) as there:
        server = Server(Settings(there.uri), connections=3)
        with ThreadPoolExecutor(9) as threads:
            list(threads.map(lambda _: server.call("GET", "/x"), range(30)))
        server.close()
        assert len(there.requests) == 30
        assert max(most) <= 3
        assert there.connections == 3


def test_what_is_asked_goes_out_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    bodies = []

    def answer(method: str, path: str, body: object) -> Answer:
        bodies.append(body)
        return as_json(200, {})

    with AnsweringServer(answer) as there:
        server = Server(Settings(f"{there.uri}/prefix", token="a-token", workspace="team-a"))
        server.call("POST", "/x", {"text": "ünïcødé 🚀 \x00 \ud800"}, query={"a": "b c", "d": ["1", "2"]})
        server.close()
        ((method, path, headers),) = there.requests
    assert (method, path) == ("POST", "/prefix/x?a=b+c&d=1&d=2")
    assert headers["authorization"] == "Bearer a-token"
    assert headers["x-mlflow-workspace"] == "team-a"
    assert headers["user-agent"].startswith("otel-loggedmodel/")
    assert bodies == [{"text": "ünïcødé 🚀 \x00 ?"}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_makes_connections_of_its_own() -> None:
    with AnsweringServer(lambda *_: as_json(200, {})) as there:
        program = """
import os, sys
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings
server = Server(Settings(sys.argv[1]))
server.call("GET", "/parent")
pid = os.fork()
if pid == 0:
    server.forget_connections()
    server.call("GET", "/child")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
server.call("GET", "/parent")
"""
        subprocess.run([sys.executable, "-c", program, there.uri], check=True, timeout=60)
        assert [path for _, path, _ in there.requests] == ["/parent", "/child", "/parent"]
        assert there.connections == 2


@pytest.mark.parametrize(
    ("status", "error_code", "message"),
    [
        (404, "RESOURCE_DOES_NOT_EXIST", "Workspace 'team-a' not found"),
        (400, "INVALID_PARAMETER_VALUE", "Workspace name 'team-a' must match the pattern ^[a-z0-9]"),
        (500, "FEATURE_DISABLED", "Workspace APIs are not available: workspaces are not enabled on this server"),
    ],
)
@pytest.mark.parametrize("named", [{"experiment_id": "7"}, {"experiment_name": "shop"}, {}])
def test_a_workspace_that_is_not_there_is_told_and_loses_nothing(
    status: int, error_code: str, message: str, named: dict[str, str]
) -> None:
    document = {"error_code": error_code, "message": message}
    with AnsweringServer(lambda *_: as_json(status, document)) as there:
        server = Server(Settings(there.uri, workspace="team-a", **named))
        with pytest.raises(ServerError, match="set MLFLOW_WORKSPACE to one that is there") as caught:
            server.otlp_headers()
        server.close()
    assert message in str(caught.value)
    assert kind_of(caught.value) == "refused"


def test_what_is_forbidden_may_not_be_there() -> None:
    with AnsweringServer(lambda *_: (403, {}, b"Permission denied")) as there:
        server = Server(Settings(there.uri, username="anna", password="x", experiment_id="7"))
        with pytest.raises(ServerError, match=r"if it has no experiment '7', set MLFLOW_EXPERIMENT_ID") as caught:
            server.otlp_headers()
        server.close()
    assert "MLFLOW_WORKSPACE" in str(caught.value)
    assert kind_of(caught.value) == "refused"


def test_a_workspace_has_an_experiment_of_its_own() -> None:
    with AnsweringServer(lambda *_: as_json(200, {"experiment": {"experiment_id": "5"}})) as there:
        for workspace, question in (
            ("team-a", "get-by-name?experiment_name=Default"),
            ("default", "get?experiment_id=0"),
            (None, "get?experiment_id=0"),
        ):
            server = Server(Settings(there.uri, workspace=workspace))
            assert server.experiment_id == "5"
            server.close()
            assert there.requests[-1][1] == f"/api/2.0/mlflow/experiments/{question}"


def test_the_experiment_is_asked_for_once() -> None:
    with AnsweringServer(lambda *_: as_json(200, {"experiment": {"experiment_id": "0"}})) as there:
        server = Server(Settings(there.uri, password="x"))
        assert [server.experiment_id for _ in range(3)] == ["0"] * 3
        headers = server.otlp_headers()
        assert headers["x-mlflow-experiment-id"] == "0"
        assert headers["authorization"].startswith("Basic ")
        assert server.otlp_endpoint == f"{there.uri}/v1/traces"
        assert [path for _, path, _ in there.requests] == ["/api/2.0/mlflow/experiments/get?experiment_id=0"]
        server.close()


def test_an_experiment_that_another_process_makes_at_that_moment_is_found() -> None:
    absent = as_json(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Could not find experiment"})
    there_already = as_json(400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "Experiment already exists."})
    answers = iter([absent, there_already, as_json(200, {"experiment": {"experiment_id": "5"}})])
    with AnsweringServer(lambda *_: next(answers)) as there:
        assert Server(Settings(there.uri, experiment_name="shop")).experiment_id == "5"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own authority."""
    directory = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl makes no certificate here: {error}")
    return directory


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_servers_certificate_is_checked(certificates: Path) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
    there = AnsweringServer(lambda *_: as_json(200, {"ok": True}))
    there.http.socket = context.wrap_socket(there.http.socket, server_side=True, do_handshake_on_connect=False)
    there.http.handle_error = lambda *_: None  # type: ignore[method-assign]
    there.scheme = "https"
    with there:
        for verify in (str(certificates / "certificate.pem"), False):
            server = Server(Settings(there.uri, verify=verify))
            assert server.call("GET", "/x") == {"ok": True}
            server.close()
        for settings in (
            Settings(there.uri),
            Settings(there.uri, verify="/no/such/file"),
            Settings(there.uri, verify=False, client_cert="/no/such/file"),
        ):
            with pytest.raises(ServerError, match="MLFLOW_TRACKING_SERVER_CERT_PATH") as caught:
                Server(settings).call("GET", "/x")
            assert kind_of(caught.value) == "refused"


def test_requests_are_not_traced() -> None:
    key = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    seen = []
    with AnsweringServer(lambda *_: as_json(200, {})) as there:
        server = Server(Settings(there.uri))
        request = server._request
        server._request = lambda *arguments: (  # type: ignore[method-assign]
            seen.append(context_api.get_value(key)),
            request(*arguments),
        )[1]
        server.call("GET", "/x")
        server.close()
    assert seen == [True]


def test_json_that_is_no_object_is_told() -> None:
    error = refusal_of((200, {"content-type": "application/json"}, json.dumps([1]).encode()))
    assert "not JSON" in str(error)
