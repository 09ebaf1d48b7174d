# SPDX-License-Identifier: Apache-2.0
"""What several files need: the packages, an environment with them, and a backend with the synthetic data set."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from backend.serving import Serving
from truth import Traffic, make_traffic

from .tools import ROOT, TOOLS, tool


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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both packages; the wheel is made of what the sdist holds."""
    folder = tmp_path_factory.mktemp("dist")
    tool("python", "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new virtual environment with the wheel and what `server` brings."""
    folder = tmp_path_factory.mktemp("fresh")
    tool("uv", "venv", "--quiet", "--python", TOOLS / "python", folder)
    tool("uv", "pip", "install", "--quiet", "--python", folder, f"{wheel}[server]")
    return folder / "bin"
