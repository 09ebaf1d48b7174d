# SPDX-License-Identifier: Apache-2.0
"""Faults around the backend: clocks that jump, a disk that becomes read-only, proxies, wrong certificates."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from effort import only_in_full, some
from waiting import wait_until

from .sending import Load, Traces
from .serving import Serving, command
from .test_hard_times import unprivileged

__all__ = ["unprivileged"]

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@only_in_full
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed, which makes clocks jump")
def test_a_clock_that_jumps(tmp_path: Path) -> None:
    """By hours, forth and back, while spans arrive: what is acknowledged is there, and it goes on."""
    jump = tmp_path / "jump"
    jump.write_text("+0")
    clock = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(jump),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Serving(tmp_path / "log", "--data", tmp_path / "data", **clock) as serving:
        with Load(serving, Traces("jumping", 1)) as load:
            for offset in ("+20h", "-20h", "+0", "-20h", "+20h", "+0"):
                jump.write_text(offset)
                enough = len(load.acknowledged) + 100
                wait_until(lambda enough=enough: len(load.acknowledged) >= enough, "spans after the jump")
            load.finish()
        assert sorted(serving.trace_ids("jumping")) == sorted(load.sent)
        assert "Traceback" not in serving.log


@only_in_full
def test_a_store_that_becomes_read_only(tmp_path: Path, unprivileged: Sequence[str]) -> None:
    """As a disk does after an error: senders keep what they have, and all of it is there in the end."""
    data = tmp_path / "data"
    with Serving(tmp_path / "log", "--data", data, wrapper=unprivileged) as serving:
        with Load(serving, Traces("kept", 1)) as load:
            wait_until(lambda: len(load.acknowledged) > 100, "spans")
            directories = [path for path in (data, *data.rglob("*")) if path.is_dir() and not path.is_symlink()]
            for path in directories:
                path.chmod(0o500)
            try:
                wait_until(lambda: len(load.refusals) > 5, "refusals")
            finally:
                for path in directories:
                    if path.exists():
                        path.chmod(0o700)
            # What was begun is over; senders say so again.
            enough = len(load.acknowledged) + 100
            wait_until(lambda: len(load.acknowledged) >= enough, "spans afterwards")
            load.finish()
        assert sorted(serving.trace_ids("kept")) == sorted(load.sent)


@only_in_full
def test_a_proxy_of_the_environment_is_not_in_the_way_of_our_own_clients(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
    data = tmp_path / "data"
    with Serving(tmp_path / "log", "--data", data, **proxies) as serving:
        assert serving.post(Traces("behind", 1).request(5)[1]).status == 200
        assert "behind" in command("models", "--store", serving.http, **proxies).stdout
        backup = command("store", "backup", tmp_path / "backup", "--store", f"chdb://{data}", **proxies)
        assert (backup.returncode, (tmp_path / "backup" / ".backup").exists()) == (0, True), backup


@pytest.fixture
def wrong_certificate(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", some([("models",), ("store", "repair"), ("gate", "a", "b")]), ids=" ".join)
def test_a_wrong_certificate_is_told_as_such(wrong_certificate: str, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--store", wrong_certificate)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done
    assert f"the certificate of {wrong_certificate} is not trusted" in done.stderr
    assert "start a backend" not in done.stderr
    assert "SSL_CERT_FILE" in done.stderr
