# SPDX-License-Identifier: Apache-2.0
"""An embedded store in a process of its own, in which questions fail after they were answered in part.

It prints, as JSON, what is answered to another question right after each.
"""

import json
import sys

from otel_loggedmodel.store.database import open_database
from otel_loggedmodel.store.reading import StoreUnavailableError

ROWS = 300_000


def main(directory: str) -> None:
    database = open_database(f"chdb://{directory}", create=True)
    answers = []
    for fail in (
        lambda: database.query(f"SELECT number, throwIf(number = {ROWS - 1}) FROM numbers({ROWS})"),
        lambda: database.command(f"SELECT number, throwIf(number = {ROWS - 1}) FROM numbers({ROWS})"),
        lambda: database.raw_query(
            f"SELECT number, throwIf(number = {ROWS - 1}) FROM numbers({ROWS})", {"max_block_size": 1000}
        ),
    ):
        try:
            fail()
        except StoreUnavailableError:
            answers.append(database.query("SELECT 1 AS one"))
    database.close()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
