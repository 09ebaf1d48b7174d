# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run a ClickHouse server."""

from store.conftest import clickhouse_database, clickhouse_server

__all__ = ["clickhouse_database", "clickhouse_server"]
