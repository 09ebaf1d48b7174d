# SPDX-License-Identifier: Apache-2.0
"""Disks that are mounted read-only, where not even root may write: what says so, and what goes on."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from delivery.far_end import Answer, HttpFarEnd
from effort import only_in_full
from needs import do_without

from .conftest import KEPT
from .serving import Serving

STORE_UNAVAILABLE = 3
# In name spaces of its own, for which one need not be root; the mount goes with the program.
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_beside() -> Run:
    """Runs a program to which a directory is read-only."""

    def run(directory: Path, *command: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(directory)]
        return subprocess.run(
            [*wrapper, *map(str, command)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    try:
        tried = run(Path(__file__).parent, "true")
    except FileNotFoundError:
        do_without("unshare, to mount a directory read-only", "install util-linux")
    if tried.returncode:
        do_without("name spaces of users and mounts", f"sysctl user.max_user_namespaces ({tried.stderr.strip()})")
    return run


def files_in(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


COMMANDS: Sequence[Sequence[str]] = [
    ("serve", "--http-port", "0", "--no-grpc", "--data", "{data}"),
    ("models", "--store", "chdb://{data}"),
    ("store", "backup", "{elsewhere}", "--store", "chdb://{data}"),
    ("serve", "--http-port", "0", "--no-grpc", "--data", "{data}/below"),
    ("store", "repair", "--store", "chdb://{data}"),
    ("store", "restore", "{elsewhere}", "--store", "chdb://{data}"),
]


@only_in_full
def test_a_store_on_a_read_only_disk_is_told_as_such_and_left_as_it_is(
    tmp_path: Path, kept: Path, run_beside: Run
) -> None:
    before = files_in(kept)
    for arguments in COMMANDS:
        named = [one.format(data=kept, elsewhere=tmp_path / "elsewhere") for one in arguments]
        done = run_beside(kept, sys.executable, "-m", "otel_loggedmodel", *named)
        assert (done.returncode, done.stdout) == (STORE_UNAVAILABLE, ""), done
        assert "Traceback" not in done.stderr
        said = done.stderr.splitlines()[-1]
        assert (str(kept) in said, said.endswith("Read-only file system")) == (True, True), said
    assert files_in(kept) == before
    with Serving(tmp_path / "log", "--data", kept) as serving:
        assert len(serving.trace_ids("kept")) == KEPT


APPLICATION = """
import sys, time
import otel_loggedmodel
from opentelemetry import trace

otel_loggedmodel.instrument()
otel_loggedmodel.set_active_model(name="agent")
for number in range(20):
    with trace.get_tracer("x").start_as_current_span(f"span-{number}"):
        pass
provider = trace.get_tracer_provider()
provider.force_flush()
print("goes on", flush=True)
sys.stdin.readline()
provider.shutdown()
"""


@pytest.mark.parametrize("below", [".", "not/there/yet"])
def test_an_application_goes_on_with_a_read_only_disk_and_its_spans_wait_in_memory(
    tmp_path: Path, run_beside: Run, below: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    with HttpFarEnd() as far_end:
        # Away at first, so that there is something to keep.
        far_end.answer(Answer(status=503))
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": far_end.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_LOGGEDMODEL_SPOOL_DIR": str(disk / below),
        }
        wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(disk)]
        process = subprocess.Popen(
            [*wrapper, sys.executable, "-c", APPLICATION],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "goes on\n"
            far_end.answer(Answer())
            far_end.wait_for(
                lambda: {f"span-{number}" for number in range(20)} | {"logged_model.created"} <= set(far_end.names),
                "what waited in memory",
            )
            said = process.communicate("\n", timeout=120)[1]
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "is kept in memory" in line]
    assert "Read-only file system" in line
    assert files_in(disk) == {}
