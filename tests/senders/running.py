# SPDX-License-Identifier: Apache-2.0
"""Runs a program that sends, and gets what is stored of it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from backend.serving import Serving

from .story import LATE_MS


def outcome_of(
    command: Sequence[str],
    serving: Serving,
    protocol: str,
    limit: int | None,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, told by its environment where to send and as what."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    limits = {} if limit is None else {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": str(limit)}
    return subprocess.run(
        [*command, protocol, str(LATE_MS)],
        env={
            **kept,
            **limits,
            "OTEL_SERVICE_NAME": "sender",
            "OTEL_RESOURCE_ATTRIBUTES": "logged_model.id=m-sender,logged_model.name=sender",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{serving.grpc}" if protocol.startswith("grpc") else serving.http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def sent(
    command: Sequence[str],
    serving: Serving,
    protocol: str,
    limit: int | None,
    variables: Mapping[str, str] | None = None,
) -> tuple[Any, Any]:
    """The trace that is stored of what a program sent, and what it says that it sent."""
    outcome = outcome_of(command, serving, protocol, limit, variables)
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout.splitlines()[-1])
    return serving.get(f"/api/v1/traces/{told['request']['traceId']}"), told
