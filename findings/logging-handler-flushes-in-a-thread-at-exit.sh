#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# opentelemetry-sdk 1.45.2, Python 3.12: a handler for `logging` cannot be flushed as the interpreter ends.
#
# `logging` flushes every handler in an exit handler of its own. OpenTelemetry's handler flushes its provider in a thread
# that it begins for that, so that an application that is asked for a log record meanwhile does not wait for itself. With
# Python 3.12 no thread begins once the interpreter ends, so the flush raises, and the application, which did nothing
# wrong, ends with a traceback on standard error. Under 3.11 and 3.13 the same program ends without a word.
#
# Seen with 3.12: "RuntimeError: can't create new thread at interpreter shutdown", and exit status 0.
set -euo pipefail
python=$(command -v python3.12 || true)
[ -n "$python" ] || { echo "this takes Python 3.12, which is not installed" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-api==1.45.2 opentelemetry-sdk==1.45.2
said=$("$folder/venv/bin/python" - <<'PROGRAM' 2>&1
import logging
import warnings

warnings.simplefilter("ignore")
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler

logging.getLogger().addHandler(LoggingHandler(logger_provider=LoggerProvider()))
logging.getLogger("app").warning("the last words")
PROGRAM
)
seen=$(printf '%s\n' "$said" | grep -o "RuntimeError: can't create new thread at interpreter shutdown" || true)
echo "${seen:-nothing}"
[ "$seen" = "RuntimeError: can't create new thread at interpreter shutdown" ] || { echo "this has changed" >&2; exit 1; }
