# SPDX-License-Identifier: Apache-2.0
"""The dashboards are what Grafana's SDK makes of them, and every query of ClickHouse is answered."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from otel_loggedmodel.store.database import Database, open_database

from .conftest import Shop
from .tools import ROOT, tool

FOLDER = ROOT / "dashboards"
CLICKHOUSE = json.loads((FOLDER / "clickhouse.json").read_text())
PANELS = {panel["title"]: panel for panel in CLICKHOUSE["panels"]}


def test_dashboards_are_what_the_sdk_makes() -> None:
    tool("python", "scripts/make_dashboards.py", "--check")


@pytest.mark.parametrize("name", ["clickhouse", "collector"])
def test_the_schema_knows_every_field(name: str) -> None:
    program = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
written = json.load(open(sys.argv[1]))
def check(written, read, place):
    # What was not written may come back as its default.
    if isinstance(written, dict):
        for key, value in written.items():
            assert key in read, f"{place}/{key} is not in the schema"
            check(value, read[key], f"{place}/{key}")
    elif isinstance(written, list):
        assert len(written) == len(read), place
        for number, pair in enumerate(zip(written, read)):
            check(*pair, f"{place}/{number}")
    else:
        assert written == read, place
check(written, json.loads(JSONEncoder().encode(Dashboard.from_json(written))), "")
"""
    tool("python", "-c", program, FOLDER / f"{name}.json")


@pytest.fixture(scope="module")
def database(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The store of a backend that has stopped."""
    shop.serving.stop()
    copy = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(shop.data, copy, symlinks=True)
    shop.serving.start()
    opened = open_database(str(copy))
    yield opened
    opened.close()


def expanded(sql: str, name: str, services: str) -> str:
    """A query as the plugin sends it: https://grafana.com/docs/plugins/grafana-clickhouse-datasource/latest/"""
    now = datetime.now(timezone.utc)
    begin, end = (int(time.timestamp()) for time in (now - timedelta(days=30), now + timedelta(days=1)))
    for macro, text in (
        (r"\$__timeFilter\((\w+)\)", rf"(\1 >= toDateTime({begin}) AND \1 <= toDateTime({end}))"),
        (r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)"),
    ):
        sql = re.sub(macro, text, sql)
    sql = sql.replace("${database}", "default")
    sql = sql.replace("${name:singlequote}", name).replace("${service:singlequote}", services)
    assert "$" not in sql
    return sql


def answer(database: Database, sql: str) -> list[dict[str, Any]]:
    rows = database.client.query(sql)
    return [dict(zip(rows.column_names, row, strict=True)) for row in rows.result_rows]


@pytest.fixture(scope="module")
def chosen(database: Database) -> tuple[str, str]:
    """All names and services, as the variables propose them."""
    found = []
    for variable in CLICKHOUSE["templating"]["list"]:
        if variable["type"] == "query":
            values = [row[0] for row in database.client.query(expanded(variable["query"], "", "")).result_rows]
            assert values
            found.append(", ".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values))
    return found[0], found[1]


@pytest.mark.parametrize("title", PANELS)
def test_every_query_is_answered(title: str, database: Database, chosen: tuple[str, str]) -> None:
    (target,) = PANELS[title]["targets"]
    rows = answer(database, expanded(target["rawSql"], *chosen))
    assert rows
    if target["queryType"] == "timeseries":
        assert isinstance(rows[0]["time"], datetime)
        assert all(isinstance(row["value"], int | float) for row in rows)


def test_numbers_are_those_of_the_comparison(shop: Shop, database: Database, chosen: tuple[str, str]) -> None:
    (target,) = PANELS["Versions"]["targets"]
    rows = answer(database, expanded(target["rawSql"], *chosen))
    end = shop.id_of("slower")[-8:]
    (row,) = [row for row in rows if row["version"].endswith(end)]
    truth = shop.traffic.truth(shop.id_of("slower"))
    assert row["traces"] == pytest.approx(truth.traces, rel=0.15)  # which counts repeats and retries apart
    assert row["p50"] == pytest.approx(truth.latency_ms.p50 / 1000, rel=0.1)
