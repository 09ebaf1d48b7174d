#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mlflow-tracing 3.17.2 with MLFLOW_USE_DEFAULT_TRACER_PROVIDER=false, the mode in which it shares the application's
# global tracer provider: mlflow.set_tracking_uri() discards the provider that the application has set. Spans that the
# application starts afterwards through opentelemetry.trace are not recorded, and nothing is said.
#
# Expected by whoever reads the variable's documentation: the application's provider stays.
# Seen: get_tracer_provider() is a ProxyTracerProvider again, and a span that is started through it does not record.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --disable-pip-version-check --quiet --progress-bar off \
  mlflow-tracing==3.17.2 opentelemetry-sdk==1.45.2

MLFLOW_USE_DEFAULT_TRACER_PROVIDER=false "$folder/venv/bin/python" - <<'PROGRAM'
import importlib.metadata

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
trace.set_tracer_provider(provider)

import mlflow

print("mlflow-tracing", importlib.metadata.version("mlflow-tracing"))
before = trace.get_tracer_provider() is provider
recorded_before = trace.get_tracer("app").start_span("before").is_recording()
mlflow.set_tracking_uri("http://127.0.0.1:5000")
after = trace.get_tracer_provider() is provider
recorded_after = trace.get_tracer("app").start_span("after").is_recording()
print("the provider is the application's before and after:", before, after)
print("spans are recorded before and after:", recorded_before, recorded_after)
assert (before, recorded_before) == (True, True)
assert (after, recorded_after) == (False, False), "the provider stays: this finding is history"
PROGRAM
