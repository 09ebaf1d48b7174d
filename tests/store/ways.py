# SPDX-License-Identifier: Apache-2.0
"""The ways in which a store can answer: from its narrow tables, and from the table of spans."""

import math

from otel_loggedmodel.store import schema
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.queries import StoreReader


def answer_from(reader: StoreReader, *, counted: bool, seen: bool) -> None:
    """Have a reader take these tables for filled in, or not, from now on."""
    known = reader._scopes._known
    known._found = schema.Columns(schema.COLUMNS, is_counted=counted, is_seen=seen)
    known._inspected_at = math.inf
    assert (reader._scopes.columns.is_counted, reader._scopes.columns.is_seen) == (counted, seen)


def forget(reader: StoreReader) -> None:
    """Have a reader measure everything anew, as for a test that changes how it is measured."""
    reader._measured = Measured()
    reader._compared = Measured()
