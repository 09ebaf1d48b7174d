#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Embedded ClickHouse answers a query with what the failed query before it had answered.
#
# Version: chdb-core 26.9.0, with which 26.9.2.1 of the engine comes.
# One would expect: a query that fails has no answer, and the next one on the same connection has its own.
# What it does: where a query had given some blocks before it failed, the next answer begins with these. Whoever asked
# something else reads rows of another question, or bytes that do not parse. The one after it is right again. A query
# that fails late is nothing rare: a damaged part, a limit of memory or of time ends one so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb-core==26.9.0
cat > "$folder/run.py" <<'PYTHON'
import sys

import chdb

connection = chdb.connect(f"{sys.argv[1]}/data")


def ask(sql):
    return connection.query(sql, "CSV").bytes().decode()


LATE = "SELECT number + 700000, throwIf(number = 299999) FROM numbers(300000)"
try:
    ask(LATE)
    sys.exit("the query did not fail: this finding is out of date")
except RuntimeError as error:
    print("the first query fails, as it is asked to:", str(error).split("while")[0].strip()[:90])
second, third = ask("SELECT 1"), ask("SELECT 1")
lines = second.splitlines()
print(f"SELECT 1 is then answered with {len(lines)} lines, of which the first is {lines[0]!r}; asked again: {third!r}")
if third != "1\n" or not lines[0].startswith("700000,") or len(lines) < 1000:
    sys.exit("this is not what was found: the finding is out of date")
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder"
