# SPDX-License-Identifier: Apache-2.0
"""Writes the table of `docs/environment.md` from `environment.py`, or with --check says if it is current."""

import argparse
import ast
import itertools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "otel_loggedmodel" / "environment.py"
PAGE = ROOT / "docs" / "environment.md"
BEGIN, END = "<!-- environment -->\n", "<!-- /environment -->"


def main() -> int:
    """Write or check, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is out of date")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    table = table_of(variables(SOURCE.read_text(encoding="utf-8")))
    current = re.sub(f"{BEGIN}.*?{END}", lambda match: BEGIN + table + END, text, count=1, flags=re.DOTALL)
    if current == text and table in text:
        return 0
    if check:
        print(
            "docs/environment.md does not list the environment variables as environment.py does: make docs",
            file=sys.stderr,
        )
        return 1
    PAGE.write_text(current, encoding="utf-8")
    return 0


def variables(source: str) -> dict[str, str]:
    """Each variable that the module names, with the text under it."""
    body = ast.parse(source).body
    found = {}
    for statement, text in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Constant):
            name = str(statement.value.value)
            if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
                raise SystemExit(f"{SOURCE.name}: {name} has no text under it that says what it means")
            found[name] = " ".join(str(text.value.value).split())
    return found


def table_of(meanings: dict[str, str]) -> str:
    """The table, in Markdown."""
    rows = (
        f"| `{name}` | {meaning[0].lower() + meaning[1:].removesuffix('.')} |" for name, meaning in meanings.items()
    )
    return "\n".join(["| variable | meaning |", "| --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
