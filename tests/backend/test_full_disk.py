# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up while spans arrive: they are left to their senders, until there is room again."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from asking import ask
from effort import only_in_full, times
from waiting import wait_until

from .sending import Load, Traces
from .serving import Serving

pytestmark = pytest.mark.takes(8)

MIB = 1024 * 1024
# More than the backend leaves free.
DISK_MIB = 448


@dataclass(frozen=True)
class Disk:
    """A small disk, which only processes that are run by a wrapper see where it is.

    Attributes:
        path: Where it is for them.
        here: Where it is for this process.
        wrapper: The command that runs another.
    """

    path: Path
    here: Path
    wrapper: Sequence[str]

    @contextlib.contextmanager
    def filled(self) -> Iterator[None]:
        """While there is no room left."""
        filler = self.here / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(MIB)) == MIB:
                pass
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("no disk can be made here: this needs unshare and nsenter")
    path = tmp_path / "disk"
    path.mkdir()
    mount = f'mount -t tmpfs -o size={DISK_MIB}m tmpfs "$0" && echo mounted && exec sleep 600'
    # In name spaces of its own, for which one need not be root; what is mounted there goes with their last process.
    holder = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"no disk can be made here: {holder.communicate()[1]}")
        enter = ["nsenter", "--target", str(holder.pid), "--user", "--mount", "--preserve-credentials", "--"]
        yield Disk(path, Path(f"/proc/{holder.pid}/root{path}"), enter)
    finally:
        holder.kill()
        holder.communicate()


@only_in_full
def test_no_acknowledged_span_is_lost(tmp_path: Path, disk: Disk) -> None:
    with (
        Serving(tmp_path / "log", "--data", disk.path / "data", wrapper=disk.wrapper) as serving,
        Load(serving, Traces("full", 1), spans=200, clients=3) as load,
    ):
        for _ in range(times(full=4, quick=1)):
            known = len(load.acknowledged)
            wait_until(lambda known=known: len(load.acknowledged) > known + 2000)
            load.refusals.clear()
            with disk.filled():
                wait_until(lambda: {refusal.transport for refusal in list(load.refusals)} == {"http", "grpc"})
                assert {refusal.status for refusal in list(load.refusals)} == {503, "UNAVAILABLE"}
                assert all(refusal.retry_seconds for refusal in list(load.refusals))
                assert re.search(rb"(?i)no (room|space) left", ask(serving.http, "GET", "/readyz").body)
                # What is there can be read.
                assert set(load.acknowledged) <= set(serving.trace_ids("full"))
        load.finish()
        assert sorted(serving.trace_ids("full")) == sorted(load.sent)
        serving.kill()
        serving.start()
        assert sorted(serving.trace_ids("full")) == sorted(load.sent)
