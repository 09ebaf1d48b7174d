# SPDX-License-Identifier: Apache-2.0
"""The SDK's types of log records under one name each, whatever the release calls them.

Logs are not declared stable in the Python SDK. Exporters have been called `LogRecordExporter` since 1.39, and
`LogExporter` before. What they export has been a `ReadableLogRecord` since then, and `LogData` before.
"""

from typing import Any, Final

from opentelemetry.sdk import _logs
from opentelemetry.sdk._logs import LogRecordProcessor, export

LogRecordExporter: Any = getattr(export, "LogRecordExporter", None) or export.LogExporter
LogRecordExportResult: Any = getattr(export, "LogRecordExportResult", None) or export.LogExportResult
IS_READABLE: Final = hasattr(_logs, "ReadableLogRecord")
"""Whether what is exported is a `ReadableLogRecord`, which holds the resource; else the record itself holds it."""

__all__ = ["IS_READABLE", "LogRecordExportResult", "LogRecordExporter", "LogRecordProcessor"]
