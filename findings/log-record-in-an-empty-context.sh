#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# opentelemetry-sdk 1.45.2: a log record that is given an empty Context is correlated with the span that is current.
#
# The specification lets whoever emits a log record name its Context, and an empty one is what a span that is to be a root
# is given. A span honours that: `start_span("x", context=Context())` has no parent. A log record does not: `Context` is a
# dict, an empty one is falsy, and `LogRecord` takes the current one instead ("if not context: context = get_current()").
# So an event that is about something else, such as the result of an evaluation that is to be correlated by
# `gen_ai.response.id`, gets the trace id and span id of whatever runs while it is emitted. A good engineer would have
# guessed what SDKs of other languages do with their root context. What helps is a Context with anything in it.
#
# Seen: "span: no parent", "record in an empty Context: the current span", "record in a Context with a value: no span".
# Specification: https://opentelemetry.io/docs/specs/otel/logs/api/#emit-a-logrecord
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-api==1.45.2 opentelemetry-sdk==1.45.2
seen=$("$folder/venv/bin/python" - <<'PROGRAM'
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context, set_value
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider


class Noting(LogRecordProcessor):
    def on_emit(self, log_record):
        noted.append(log_record.log_record.span_id)

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


noted = []
tracer = TracerProvider().get_tracer("t")
loggers = LoggerProvider()
loggers.add_log_record_processor(Noting())
logger = loggers.get_logger("l")
with tracer.start_as_current_span("current") as current:
    root = tracer.start_span("root", context=Context())
    logger.emit(LogRecord(body="empty", context=Context()))
    logger.emit(LogRecord(body="not empty", context=set_value("any", 1, Context())))
span_id = current.get_span_context().span_id
print("span:", "no parent" if root.parent is None else "the current span")
for what, seen in zip(("an empty Context", "a Context with a value"), noted):
    print(f"record in {what}:", {span_id: "the current span", 0: "no span"}.get(seen, seen))
PROGRAM
)
echo "$seen"
expected="span: no parent
record in an empty Context: the current span
record in a Context with a value: no span"
[ "$seen" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
