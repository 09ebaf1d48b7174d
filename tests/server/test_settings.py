# SPDX-License-Identifier: Apache-2.0
"""What may be chosen."""

import subprocess
import sys

import pytest

from otel_loggedmodel.server.settings import Settings, SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "127.8.9.10"])
def test_this_machine_needs_no_token(host: str) -> None:
    Settings(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "backend.example", ""])
def test_a_network_needs_a_token_or_a_word(host: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings(host=host).check()
    assert "OTEL_LOGGEDMODEL_TOKEN" in str(raised.value)
    assert "--allow-anonymous" in str(raised.value)
    Settings(host=host, token="secret").check()
    Settings(host=host, allow_anonymous=True).check()


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="ASCII"):
        Settings(token=token).check()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"http_port": 70000}, "--http-port is 70000"),
        ({"grpc_port": -1}, "--grpc-port is -1"),
        ({"http_port": 4317}, "both 4317"),
        ({"retention_days": 0}, "0 days"),
        ({"allowed_origins": ["localhost:5173"]}, "--allow-origin 'localhost:5173' is not the origin of a page"),
        ({"allowed_origins": ["https://a.example/path"]}, "without a path"),
        ({"allowed_origins": ["https://a.example", "*"]}, "'\\*' is not the origin"),
        ({"allowed_origins": ["https://*.example"]}, "is not the origin"),
        ({"allowed_origins": ["null"]}, "'null' is not the origin"),
        ({"allowed_origins": [""]}, "'' is not the origin"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, int], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        Settings(**settings).check()


def test_free_ports_may_be_the_same_number() -> None:
    Settings(http_port=0, grpc_port=0).check()


def test_importing_settings_imports_nothing_heavy() -> None:
    program = "import sys, otel_loggedmodel.server.settings; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"uvicorn", "starlette", "grpc", "msgspec", "prometheus_client", "google.protobuf", "chdb", "asyncio"}
    assert not loaded & heavy


def test_running_does_not_import_the_store() -> None:
    program = "import sys, otel_loggedmodel.server.running; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "uvicorn" in loaded
    assert not loaded & {"chdb", "clickhouse_connect", "pandas"}


def test_origins_are_as_browsers_write_them() -> None:
    given = ["HTTPS://App.Example:443/", "http://a.example:80", "http://a.example:443", " tauri://localhost "]
    assert Settings(allowed_origins=given).origins == {
        "https://app.example",
        "http://a.example",
        "http://a.example:443",
        "tauri://localhost",
    }
    Settings(allowed_origins=given).check()
