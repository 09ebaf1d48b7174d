# SPDX-License-Identifier: Apache-2.0
"""The fixture that runs a ClickHouse server, as for the store."""

from store.conftest import clickhouse_server

__all__ = ["clickhouse_server"]
