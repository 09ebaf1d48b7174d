# SPDX-License-Identifier: Apache-2.0
"""A backend in a process of its own, whose store is a file: what is acknowledged is in it.

Its argument is JSON: settings, and `file`, `insert_seconds`. It prints its addresses, and at its end the threads that
are left.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence

from memory_reader import MemoryReader
from otel_loggedmodel.server.running import Addresses, run
from otel_loggedmodel.server.settings import Settings

from .backends import MemoryWriter


class FileWriter(MemoryWriter):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self._file = open(path, "ab", buffering=0)  # noqa: PTH123, SIM115
        self._seconds = seconds

    def insert(self, requests: Sequence[bytes]) -> None:
        time.sleep(self._seconds)
        self._file.write(b"".join(len(request).to_bytes(4, "big") + request for request in requests))

    def close(self) -> None:
        self._file.close()


def stored_in(path: str) -> list[bytes]:
    """The requests in such a file."""
    with open(path, "rb") as file:  # noqa: PTH123
        requests = []
        while size := file.read(4):
            requests.append(file.read(int.from_bytes(size, "big")))
        return requests


def main() -> int:
    settings = json.loads(sys.argv[1])
    writer = FileWriter(settings.pop("file", os.devnull), settings.pop("insert_seconds", 0.0))

    def show(addresses: Addresses) -> None:
        print(json.dumps([addresses.http, addresses.grpc]), flush=True)

    code = run(Settings(**{"http_port": 0, "grpc_port": 0, **settings}), writer, MemoryReader(), show)
    writer.close()
    print(json.dumps(sorted(thread.name for thread in threading.enumerate())), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
