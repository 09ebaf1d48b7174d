# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of its own, from the system's packages, without touching one that runs."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import needs
from waiting import wait_until

from .tracking_servers import free_port

REQUIRED: Final = "OTEL_LOGGEDMODEL_REQUIRE_BACKENDS"
_USER: Final = "postgres"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database, as MLflow takes it."""
    programs = _programs()
    # It refuses to run as root, and has to reach its directory as somebody else.
    as_user: dict[str, Any] = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    directory = tempfile.mkdtemp(prefix="loggedmodel-postgresql-")
    if as_user:
        shutil.chown(directory, _USER, _USER)
    data, port = f"{directory}/data", free_port()
    command = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "mlflow", "--no-sync"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300, **as_user)
    command = [str(programs / "postgres"), "-D", data, "-p", str(port), "-k", directory]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with Path(directory, "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **as_user
        )
    asked = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    try:
        wait_until(lambda: subprocess.run(asked, capture_output=True, check=False).returncode == 0, "PostgreSQL")
        # SQLAlchemy 2.1 takes another driver, psycopg 3, unless told.
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(directory, ignore_errors=True)


def _programs() -> Path:
    """Where they are: Debian does not put them on the path."""
    found = shutil.which("initdb")
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found is None and not kept:
        needs.do_without("PostgreSQL", "apt-get install postgresql", required_by=REQUIRED)
    return (Path(found).resolve() if found is not None else kept[-1]).parent
