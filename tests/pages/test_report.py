# SPDX-License-Identifier: Apache-2.0
"""A comparison as a file."""

import html
import re
from pathlib import Path

from backend.serving import command
from cli.conftest import unboxed
from effort import only_in_full
from planted_versions import HOSTILE

from . import sent
from .conftest import Open, Shop


def test_a_comparison_is_one_file_that_needs_no_other(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "comparison.html"
    ran = command("compare", sent.OLD_CHAT, sent.NEW_CHAT, "--since", "30d", "--html", file, store=shop.http)
    assert ran.returncode == 0, ran.stderr
    page = open_page(file.as_uri())
    assert page.locator("#metrics .v.better").count() >= 2
    assert page.locator(".chart").count() >= 6
    assert page.locator("#made ins").count() >= 1
    # The style is applied: its digest is the one that the policy of the file allows.
    assert page.evaluate("getComputedStyle(document.querySelector('th.n')).textAlign") == "right"
    assert "since 30d" in page.locator("main").inner_text()
    text = file.read_text(encoding="utf-8")
    assert not re.findall(r"""src=|href="(?!#)|url\(|@import|<script""", text)


@only_in_full
def test_hostile_names_are_only_texts_in_a_file(shop: Shop, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    ran = command("compare", shop.id_of("base"), shop.id_of("hostile"), "--html", file, store=shop.http)
    assert ran.returncode == 0, ran.stderr
    page = open_page(file.as_uri())
    assert HOSTILE.split("\x1b")[0].split("\n")[0].strip() in " ".join(page.locator("main").inner_text().split())


def test_a_file_that_cannot_be_written_is_a_usage_error(shop: Shop, tmp_path: Path) -> None:
    ran = command("compare", sent.OLD_CHAT, sent.NEW_CHAT, "--html", tmp_path / "no" / "file", store=shop.http)
    assert ran.returncode == 2
    # The path is as long as the temporary directory's, and the message in its frame is broken somewhere.
    assert "cannot be written" in unboxed(ran.stderr)


@only_in_full
def test_the_file_of_a_gate_has_its_rules_and_what_became_of_them(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "gate.html"
    between = (sent.NEW_CHAT, sent.OLD_CHAT, "--since", "30d", "--html", file)

    def written(rule: str, exit_code: int) -> str:
        ran = command("gate", *between, "--fail-if", rule, store=shop.http)
        assert ran.returncode == exit_code, ran.stdout + ran.stderr
        gate = re.search(r'<p class="gate">.*?</ul>', file.read_text(encoding="utf-8"), re.DOTALL)
        assert gate is not None
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", gate[0])).split())

    # It is slower, which without rules would fail.
    passed = written("latency_ms.p50 > 60000", 0)
    assert "✓ passes" in passed
    assert "latency_ms.p50 > 60000 : passed" in passed
    assert "✗ fails" not in passed
    failed = written("latency_ms.p50 > 1", 1)
    assert "✗ fails" in failed
    assert "latency_ms.p50 > 1 : failed" in failed
