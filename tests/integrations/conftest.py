# SPDX-License-Identifier: Apache-2.0
"""What tests of instrumentations share: an application's set-up that exports over OTLP, and an OpenAI to talk to."""

from collections.abc import Iterator

import pytest

from .openai_server import OpenAIServer
from .telemetry import Telemetry


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    with Telemetry() as telemetry:
        yield telemetry


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server
