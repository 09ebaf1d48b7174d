# SPDX-License-Identifier: Apache-2.0
"""The SQL that reads OTLP: what attributes and values are in protobuf, and which texts the Collector makes of them.

Lists and maps are no part of it: they come as texts (`SpanWriter.insert`), since reading nested ones costs half of the
throughput.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.store.database import Database, comments

VALUE: Final = (
    "Tuple(value Enum8('none' = 0, 'string_value' = 1, 'bool_value' = 2, 'int_value' = 3, 'double_value' = 4,"
    " 'bytes_value' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64,"
    " bytes_value String)"
)
ATTRIBUTES: Final = f"Array(Tuple(key String, value {VALUE}))"


def _number(value: str) -> str:
    """A double as Go's JSON has it: below 1e-6 and from 1e21 on with an exponent, and the exponent's sign.

    ClickHouse analyses this at each insert, in each place that has attributes, so it is of few functions.
    """
    return (
        f"transform(if(abs({value}) < 1e21, toString({value}), replaceRegexpOne(toString({value}), 'e(\\\\d)',"
        " 'e+\\\\1')), ['nan', 'inf', '-inf'], ['NaN', 'Infinity', '-Infinity'])"
    )


def text_of(value: str) -> str:
    """The text of a value, as the Collector's exporter writes it."""
    return (
        f"multiIf({value}.value = 'string_value', {value}.string_value,"
        f" {value}.value = 'int_value', toString({value}.int_value),"
        f" {value}.value = 'double_value', {_number(value + '.double_value')},"
        f" {value}.value = 'bool_value', if({value}.bool_value, 'true', 'false'),"
        f" {value}.value = 'bytes_value', base64Encode({value}.bytes_value), '')"
    )


def texts(attributes: str) -> str:
    """Attributes as a map of texts."""
    pairs = f"arrayMap(pair -> (pair.key, {text_of('pair.value')}), {attributes})"
    return f"CAST({pairs} AS Map(LowCardinality(String), String))"


def time(nanoseconds: str) -> str:
    """A time since the epoch."""
    return f"fromUnixTimestamp64Nano(toInt64({nanoseconds}))"


_MESSAGE: Final = "Request"


def otlp_settings(directory: Path | None, proto: str) -> dict[str, Any]:
    """How to read a request.

    The embedded engine gets the schema as a file. It would copy a text into the working directory.

    Args:
        directory: The directory of the embedded engine; None for one on a server.
        proto: What can be in a request, as a file of protobuf with a message `Request`.
    """
    settings: dict[str, Any] = {"input_format_protobuf_oneof_presence": 1}
    if directory is None:
        return {
            **settings,
            "format_schema_source": "string",
            "format_schema": proto,
            "format_schema_message_name": _MESSAGE,
        }
    path = directory / f"otlp-{hashlib.sha256(proto.encode()).hexdigest()[:16]}.proto"
    if not path.exists():
        path.write_text(proto, encoding="utf-8")
    return {**settings, "format_schema": f"{path}:{_MESSAGE}"}


def make_input(database: Database, name: str, column: str, select: str, table: str) -> bool:
    """Make the table that takes OTLP, and the view that fills another table from it; anew if another release made them.

    Args:
        database: Where.
        name: The name of the table that takes OTLP; the view is named after it.
        column: Its only column, with its type.
        select: What the view selects from it.
        table: Where the view puts that.

    Returns:
        Whether they were made.
    """
    view = f"{name}_mv"
    comment = f"otel-loggedmodel {hashlib.sha256((column + select).encode()).hexdigest()[:16]}"
    found = comments(database, name, view)
    if found == {name: comment, view: comment}:
        return False
    database.command(f"DROP TABLE IF EXISTS {view}")
    database.command(f"DROP TABLE IF EXISTS {name}")
    database.command(f"CREATE TABLE {name} ({column}) ENGINE = Null COMMENT '{comment}'")
    database.command(f"CREATE MATERIALIZED VIEW {view} TO {table} AS\n{select}\nCOMMENT '{comment}'")
    return True
