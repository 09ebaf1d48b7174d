# SPDX-License-Identifier: Apache-2.0
"""What is done about log records that cannot be stored as they came. None is removed: all of them can be repaired."""

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_loggedmodel.server.repairing import EARLIEST_NS, NO_SPAN_ID, NO_TRACE_ID, Repairs

_ID_SIZES = ((16, 8), (16, 0), (0, 0))


class LogRepairs(Repairs):
    """Repairs log records as `Repairs` does spans, with the same arguments."""

    def repair_record(self, record: LogRecord, now_ns: int) -> None:
        """Change a record so that it can be stored, except for its lists and maps."""
        if record.trace_id == NO_TRACE_ID:
            record.trace_id = b""
        if record.span_id == NO_SPAN_ID:
            record.span_id = b""
        if (len(record.trace_id), len(record.span_id)) not in _ID_SIZES:
            # A span id without a trace id names no span, and an id that was cut off may name another one.
            if len(record.trace_id) != 16:
                record.trace_id = b""
            record.span_id = b""
            self._repaired["ids"] += 1
        if not self._is_time(record.time_unix_nano or record.observed_time_unix_nano):
            # The time at which it was observed is taken, or, if that cannot be right either, the time of its arrival.
            observed = record.observed_time_unix_nano
            record.time_unix_nano = observed if self._is_time(observed) else now_ns
            self._repaired["time"] += 1
        self.repair_attributes(record)
        if self._may_be_large:
            for field in ("severity_text", "event_name"):
                self._cut(record, field)
            self._cut(record.body, "string_value")
            self._cut_bytes(record.body)

    def _is_time(self, time_ns: int) -> bool:
        return EARLIEST_NS <= time_ns <= self._latest_ns
