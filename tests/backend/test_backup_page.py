# SPDX-License-Identifier: Apache-2.0
"""What backup-and-repair.md prints works as it is printed."""

import re
import shlex
from pathlib import Path

from .sending import Traces
from .serving import Serving, command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "backup-and-repair.md").read_text(encoding="utf-8")


def test_the_lines_of_the_page_work(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        assert serving.post(Traces("agent", 1).request(5)[1]).status == 200
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert [shlex.split(line)[1:3] for line in lines] == [["store", one] for one in ("backup", "restore", "repair")]
    for line in lines:
        arguments = shlex.split(line.replace("/backups", str(tmp_path)))[1:]
        done = command(*arguments, store=f"chdb://{tmp_path / 'data'}")
        assert done.returncode == 0, done
    assert (tmp_path / "2026-12-01.tar.gz").stat().st_size > 1000
