# SPDX-License-Identifier: Apache-2.0
"""The fixture that runs a ClickHouse server, as for the store; without the backend, no test here asks for it."""

import importlib.util

if importlib.util.find_spec("clickhouse_connect"):
    from store.conftest import clickhouse_server

    __all__ = ["clickhouse_server"]
