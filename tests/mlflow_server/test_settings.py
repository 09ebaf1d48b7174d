# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError


def test_mlflows_variables_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MLFLOW_TRACKING_URI": "https://mlflow.example.com/team/",
        "MLFLOW_TRACKING_USERNAME": "anna",
        "MLFLOW_TRACKING_PASSWORD": "geheim: ü",
        "MLFLOW_TRACKING_TOKEN": "a-token",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/ca.pem",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/etc/client.pem",
        "MLFLOW_EXPERIMENT_ID": "7",
        "MLFLOW_EXPERIMENT_NAME": "shop",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "12.5",
        "MLFLOW_WORKSPACE": "team-a",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert settings == Settings(
        "https://mlflow.example.com/team",
        experiment_id="7",
        experiment_name="shop",
        username="anna",
        password="geheim: ü",
        token="a-token",
        verify="/etc/ca.pem",
        client_cert="/etc/client.pem",
        timeout=12.5,
        workspace="team-a",
    )
    assert Settings.from_environment("http://elsewhere:5000").uri == "http://elsewhere:5000"


def test_without_variables_there_are_mlflows_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment("http://host") == Settings("http://host")
    assert Settings("http://host").authorization() == {}
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    assert Settings.from_environment("http://host").verify is False


def test_a_user_name_wins_over_a_token() -> None:
    basic = Settings("http://host", username="anna", password="geheim: ü", token="a-token").authorization()
    scheme, _, credentials = basic["authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", "anna:geheim: ü")
    assert Settings("http://host", token="a-token").authorization() == {"authorization": "Bearer a-token"}


def test_user_and_password_in_the_address_are_taken_out_of_it() -> None:
    settings = Settings("https://anna:a%40b@host:8443/mlflow/")
    assert (settings.uri, settings.username, settings.password) == ("https://host:8443/mlflow", "anna", "a@b")
    assert Settings("http://anna:x@[::1]:5000", username="berta").username == "berta"
    assert Settings("http://anna:x@[::1]:5000").uri == "http://[::1]:5000"


def test_secrets_are_not_shown() -> None:
    shown = repr([Settings("https://anna:secret-1@host", token="secret-2"), Settings("http://h", password="secret-3")])
    assert not any(secret in shown for secret in ("secret-1", "secret-2", "secret-3"))


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("databricks", "Databricks"),
        ("databricks://profile", "Databricks"),
        ("file:///tmp/mlruns", "mlflow server"),
        ("./mlruns", "mlflow server"),
        ("sqlite:///mlflow.db", "--backend-store-uri sqlite:///mlflow.db"),
        ("postgresql://anna:secret@db/mlflow", "--backend-store-uri postgresql://db/mlflow"),
        ("localhost:5000", "http://localhost:5000"),
        ("http://", "no host"),
        ("http://host:port", "no address"),
        ("http://anna:secret@host:port", "no address"),
        ("http://host/?a=b", "leave out"),
        ("http://anna:secret@host/#/experiments/1", "leave out"),
    ],
)
def test_an_address_that_cannot_be_one_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, uri: str, advice: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(SettingsError, match=advice.replace("-", "[-]")) as caught:
        Settings.from_environment()
    assert "secret" not in str(caught.value)


def test_contradictions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI"):
        Settings.from_environment()
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/etc/ca.pem")
    with pytest.raises(SettingsError, match="unset one"):
        Settings.from_environment("http://host")
    with pytest.raises(SettingsError, match="timeout"):
        Settings("http://host", timeout=0)


@pytest.mark.parametrize("workspace", ["", "team a", "team\r\nx-other: 1", "\u00e4", "a" * 300])
def test_a_workspace_that_no_header_can_hold_is_refused(workspace: str) -> None:
    with pytest.raises(SettingsError, match=r"MLFLOW_WORKSPACE is .*: write the name of a workspace"):
        Settings("http://host", workspace=workspace)
