#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Embedded ClickHouse leaves rows out of an answer because of another query, through its query condition cache.
#
# Version: chdb-core 26.9.0, with which 26.9.2.1 of the engine comes. use_query_condition_cache is on by default.
# One would expect: what a query answers does not depend on which queries came before it.
# What it does: the cache notes, for a condition on a table, the pieces of the table in which no row meets it. Where a
# subquery filters by PREWHERE and has a LIMIT (or LIMIT BY), and the query around it filters by another condition that
# no row of a piece meets, that piece is noted as one without rows for the condition of the subquery alone: the outer
# condition, which dropped the rows, is not in the note. Whoever then filters by the inner condition misses the rows.
# Nobody needs to write PREWHERE: a WHERE that the engine moves there does the same, as in the second query below. That
# one needs enable_join_runtime_filters, which is on by default, though the join is in another branch of a UNION ALL.
# Where the outer condition leaves a row of the piece, or the cache is off or was dropped, the answer is right.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb-core==26.9.0
cat > "$folder/run.py" <<'PYTHON'
import sys

import chdb

connection = chdb.connect(f"{sys.argv[1]}/data")


def rows(sql):
    return len(connection.query(sql, "CSV").bytes().splitlines())


def forget():
    rows("SYSTEM DROP QUERY CONDITION CACHE")


rows("CREATE TABLE t (a UInt8, b UInt8) ENGINE = MergeTree ORDER BY ()")
rows("INSERT INTO t VALUES (1, 1), (1, 2)")
rows("CREATE TABLE u (a UInt8) ENGINE = MergeTree ORDER BY ()")
rows("INSERT INTO u VALUES (1)")

ASKED = "SELECT * FROM t WHERE a = 1"
PREWHERE = "SELECT * FROM (SELECT * FROM t PREWHERE a = 1 LIMIT 5) WHERE b = {}"
MOVED = (
    "SELECT * FROM (SELECT * FROM (SELECT * FROM t WHERE a = 1 LIMIT 5) "
    "UNION ALL SELECT t.* FROM t JOIN u USING (a)) WHERE b = 9"
)
# What came before, and how many of the two rows are then found.
BEFORE = {
    PREWHERE.format(9): 0,
    PREWHERE.format(1): 2,
    PREWHERE.format(9) + " SETTINGS use_query_condition_cache = 0": 2,
    MOVED: 0,
    MOVED + " SETTINGS enable_join_runtime_filters = 0": 2,
    MOVED + " SETTINGS optimize_move_to_prewhere = 0": 2,
}
print("engine", connection.query("SELECT version()", "TSV").bytes().decode().strip())
print(f"{ASKED}: {rows(ASKED)} rows alone")
as_found = rows(ASKED) == 2
for before, expected in BEFORE.items():
    forget()
    rows(before)
    after, without = rows(ASKED), rows(f"{ASKED} SETTINGS use_query_condition_cache = 0")
    forget()
    dropped = rows(ASKED)
    print(f"{after} after: {before}\n  ({without} without the cache, {dropped} when it was dropped)")
    as_found = as_found and (after, without, dropped) == (expected, 2, 2)
if not as_found:
    sys.exit("this is not what was found: the finding is out of date")
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder"
