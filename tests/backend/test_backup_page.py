# SPDX-License-Identifier: Apache-2.0
"""What backup-and-repair.md prints works as it is printed."""

import re
import shlex
from pathlib import Path

from effort import only_in_full

from .serving import command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "backup-and-repair.md").read_text(encoding="utf-8")


@only_in_full
def test_the_lines_of_the_page_work(tmp_path: Path, kept: Path) -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert [shlex.split(line)[1:3] for line in lines] == [["store", one] for one in ("backup", "restore", "repair")]
    for line in lines:
        arguments = shlex.split(line.replace("/backups", str(tmp_path)))[1:]
        done = command(*arguments, store=f"chdb://{kept}")
        assert done.returncode == 0, done
    assert (tmp_path / "2026-12-01.tar.gz").stat().st_size > 1000
