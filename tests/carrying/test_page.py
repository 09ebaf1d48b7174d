# SPDX-License-Identifier: Apache-2.0
"""What docs/import-and-export.md prints works as it is printed, and its tables have the columns that there are."""

import re
import shutil
import time
from pathlib import Path

import duckdb

from cli.terminal import environment
from effort import only_in_full
from integrations.situations import DOCS, Page, run_in_shell

from .jaeger_stand_in import Jaeger, trace

HOUR_US = 3600 * 10**6


@only_in_full
def test_the_page(tmp_path: Path, recorded: Path) -> None:
    from_jaeger, from_files, to_parquet, to_otlp = Page("import-and-export").console
    shutil.copy(recorded / "lines.jsonl", tmp_path / "otel-spans.jsonl")
    variables = environment(OTEL_LOGGEDMODEL_STORE=f"chdb://{tmp_path / 'store'}", XDG_STATE_HOME=str(tmp_path))
    start = int(time.time() * 1e6) - HOUR_US
    with Jaeger([trace(1, start, spans=2, version="of-jaeger")]) as jaeger:
        assert "of-jaeger" in run_in_shell(from_jaeger.replace("http://jaeger:16686", jaeger.uri), tmp_path, variables)
    assert "2 spans imported, 1 log record imported" in run_in_shell(from_files, tmp_path, variables)
    run_in_shell(to_parquet, tmp_path, variables)
    run_in_shell(to_otlp, tmp_path, variables)
    assert {path.name.partition("-")[0] for path in (tmp_path / "moving").iterdir()} == {"spans", "logs"}

    page = (DOCS / "import-and-export.md").read_text(encoding="utf-8")
    (sql,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with duckdb.connect() as connection:
        by_version, by_model = [
            connection.execute(one.replace("'traces-of", f"'{tmp_path}/traces-of")).fetchall()
            for one in sql.strip().rstrip(";").split(";")
        ]
        assert sorted(row[1] for row in by_version) == [1, 1]
        assert by_model == [(None, 4)]
        for kind in ("spans/", "traces/", "scores.parquet", "versions.parquet"):
            files = f"{tmp_path}/traces-of-november/{kind}{'*.parquet' if kind.endswith('/') else ''}"
            found = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM '{files}'").fetchall()}
            assert columns_of(page, kind) == found


def columns_of(page: str, kind: str) -> set[str]:
    """What the table of a kind of row has in its first column."""
    (table,) = re.findall(rf"^\| `{re.escape(kind)}` \| \|\n\| --- \| --- \|\n((?:\|.*\n)+)", page, re.MULTILINE)
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}
