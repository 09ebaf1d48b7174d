#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# chdb-core-lite knows two thirds of the functions of chdb-core, of which it is said to be a lighter build.
#
# Version: chdb-core-lite 26.5.0 beside chdb-core 26.9.0; both are imported as chdb.
# One would expect: the same SQL, without engines and formats for other systems.
# What it does: arrayFold, mapFilter and bitShiftRight, among 642 others, are UNKNOWN_FUNCTION. That shows with the query.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ask() { # the query's answer, or the name of the error
  "$folder/$1/bin/python" - "$2" <<'P'
import re, sys
import chdb
try:
    print(str(chdb.query(sys.argv[1], "TSV")).strip())
except Exception as error:
    print(re.findall(r"\(([A-Z_]+)\)", str(error))[-1])
P
}
for package in chdb-core==26.9.0 chdb-core-lite==26.5.0; do
  name=${package%%==*}
  python3 -m venv "$folder/$name"
  "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$package"
  for query in "SELECT count() FROM system.functions" "SELECT arrayFold((sum, x) -> sum + x, [1, 2], toInt64(0))" \
    "SELECT bitShiftRight(8, 1)" "SELECT mapFilter((k, v) -> v > 1, map('a', 1, 'b', 2))"; do
    echo "$name: $query: $(ask "$name" "$query")" | tee -a "$folder/seen"
  done
done
grep -q "chdb-core: SELECT bitShiftRight(8, 1): 4" "$folder/seen"
[ "$(grep -c "chdb-core-lite: .*UNKNOWN_FUNCTION" "$folder/seen")" = 3 ]
echo "chdb-core-lite 26.5.0 does not know functions that chdb-core 26.9.0 has"
