# SPDX-License-Identifier: Apache-2.0
"""One backend with the synthetic data set, for all tests that ask it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from backend.serving import Serving
from truth import Traffic, make_traffic


@dataclass(frozen=True)
class Shop:
    """A backend, where its store is, and what was sent to it."""

    serving: Serving
    data: Path
    traffic: Traffic

    @property
    def http(self) -> str:
        return self.serving.http

    def id_of(self, role: str) -> str:
        return self.traffic.versions[role].model_id


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    traffic = make_traffic(traces=600, end=datetime.now(timezone.utc))
    with Serving(folder / "log", "--data", folder / "data") as serving:
        assert serving.post(b"".join(traffic.requests)).status == 200
        yield Shop(serving, folder / "data", traffic)
