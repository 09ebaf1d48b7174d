# SPDX-License-Identifier: Apache-2.0
"""The SQL of docs/versions-and-ids.md computes the ids that the library computes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.database import Database, open_database
from otel_loggedmodel.versions import identity

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "versions-and-ids.md").read_text(encoding="utf-8")
TELLS_REFERENCES, COMPUTES_IDS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def database(clickhouse_server: ClickHouseServer) -> Iterator[Database]:
    with clickhouse_server.new_database() as name:
        opened = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        yield opened
        opened.close()


def canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@settings(max_examples=30)
@given(name=texts, params=st.dictionaries(texts, texts, max_size=3))
def test_an_id_is_the_same_in_python_and_in_sql(database: Database, name: str, params: dict[str, str]) -> None:
    content = {"params": params} if params else {}
    (row,) = database.query(
        COMPUTES_IDS,
        {"family_json": canonical(["0", name]), "revision_json": canonical(["0", name, content])},
    )
    assert list(row.values()) == [identity.model_id_of("0", name, params=params)]


def test_sql_tells_references_by_their_ids(database: Database) -> None:
    ids = {identity.reference_to("0", f"agent-{number}"): 1 for number in range(100)}
    ids |= {identity.model_id_of("0", f"agent-{number}"): 0 for number in range(100)}
    ids |= {"my-agent-v1.0": 0, "m-short": 0}
    values = ", ".join(f"map('logged_model.id', '{model_id}')" for model_id in ids)
    rows = database.query(TELLS_REFERENCES.replace("otel_traces", f"(SELECT arrayJoin([{values}]) AS SpanAttributes)"))
    assert {row["id"]: row["is_reference"] for row in rows} == ids
