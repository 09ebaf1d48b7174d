# SPDX-License-Identifier: Apache-2.0
"""An embedded store that has little memory for inserts, and what becomes of requests; in a process of its own.

Its arguments are a directory, the bytes of memory, and files with a request each. It prints how each came out, as the
HTTP status and when to try again, and how many spans are stored.
"""

import json
import sys
import time
from pathlib import Path

from otel_loggedmodel.server.batching import Inserter
from otel_loggedmodel.server.checking import check
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.refusing import RefusalError
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import open_database


def main(directory: str, memory: str, *files: str) -> None:
    store = open_database(f"chdb://{directory}")
    store.writer._settings |= {"max_memory_usage": int(memory), "max_untracked_memory": 0}
    checked = [check(Path(file).read_bytes(), Settings(), time.time_ns()) for file in files]
    # All of them are one batch.
    settings = Settings(linger_seconds=60, batch_spans=sum(one.spans for one in checked))
    inserter = Inserter(store.writer, settings, Metrics())
    futures = [inserter.submit(bytes([place]), one.payload, one.spans, one.memory) for place, one in enumerate(checked)]
    inserter.start()
    outcomes = []
    for future in futures:
        error = future.exception(60)
        if error is None:
            outcomes.append([200, None])
        else:
            assert isinstance(error, RefusalError)
            outcomes.append([error.reason.http_status, error.retry_seconds])
    inserter.close(20)
    print(json.dumps({"outcomes": outcomes, "stored": int(store.reader.revision()), "trouble": inserter.trouble}))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
