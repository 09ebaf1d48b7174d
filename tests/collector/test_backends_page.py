# SPDX-License-Identifier: Apache-2.0
"""The Collector of docs/backends/README.md, which sends everything to somebody's backend and to this one."""

import os
import re
import subprocess
from pathlib import Path

from otlp_receiver import OtlpReceiver
from waiting import wait_until

from . import otlp
from .running import REPOSITORY, free_ports

PAGE = REPOSITORY / "docs" / "backends" / "README.md"


def test_both_backends_get_everything(collector_binary: Path, tmp_path: Path) -> None:
    (printed,) = re.findall(
        r"^```yaml\n# both.yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "both.yaml").write_text(printed, encoding="utf-8")
    command = [str(collector_binary), "--config=both.yaml", "--config=yaml:service::telemetry::metrics::level: none"]
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    with OtlpReceiver() as yours, OtlpReceiver() as ours:
        variables = {"LISTEN": listen, "YOURS": yours.endpoint, "LOGGEDMODEL": ours.endpoint}
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **variables}, stderr=log)
        try:
            wait_until(lambda: is_taken(f"http://{listen}"), "the Collector")
            for receiver in (yours, ours):
                wait_until(lambda receiver=receiver: [span.name for span in receiver.spans()] == ["answer"], "the span")
        finally:
            process.terminate()
            process.wait(30)


def is_taken(url: str) -> bool:
    try:
        otlp.send_json(url, [otlp.Span(name="answer")], {"service.name": "shop"})
    except OSError:
        return False
    return True
