# SPDX-License-Identifier: Apache-2.0
"""Writes `docs/commands.md` from what `--help` has, or with --check says if it is current. Needs the extra `server`."""

import argparse
import difflib
import enum
import inspect
import pathlib
import re
import sys
import typing
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
NAME = "otel-loggedmodel"
_HEAD = f"""# Commands

What `{NAME} --help` and `{NAME} COMMAND --help` say. A version is named by its id, the beginning or the last eight
digits of its id, or its name, which is its newest version. [Environment variables](environment.md) have a page of their
own.
"""


def main() -> int:
    """Write or check, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is out of date")
    wanted = page()
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if wanted == current:
        return 0
    if parser.parse_args().check:
        changes = difflib.unified_diff(current.splitlines(), wanted.splitlines(), "docs/commands.md", "--help", n=0)
        print(
            *list(changes)[:20], "docs/commands.md is not what the commands say: make docs", sep="\n", file=sys.stderr
        )
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


def page() -> str:
    """The page, in Markdown."""
    import typer

    from otel_loggedmodel.commands import exits
    from otel_loggedmodel.commands.application import app

    parts = [_HEAD, f"{_text(exits.HELP)}\n"]
    for name, command in _leaves(typer.main.get_command(app), NAME):
        parts.append(section(name, command))
    return "\n".join(parts)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The commands that do something, with the words that call them."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        if not inner.hidden:
            yield from _leaves(inner, f"{name} {word}")


def section(name: str, command: Any) -> str:
    """What one command takes."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([name, "[OPTIONS]", *map(_argument, arguments)])
    first, *more = paragraphs(inspect.cleandoc(command.help or ""))
    parts = [f"## {name.removeprefix(f'{NAME} ')}\n", first, f"```text\n{usage}\n```\n", *more]
    panels: dict[str, list[str]] = {}
    for one in command.params:
        if not one.hidden:
            title = getattr(one, "rich_help_panel", None) or ("Arguments" if one in arguments else "Options")
            panels.setdefault(title, []).append(row(one))
    for title, rows in panels.items():
        parts.append("\n".join([f"| {title} | |", "| --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def _argument(argument: Any) -> str:
    word = (argument.metavar or argument.name.upper()).removesuffix("...")
    several = f"{word} ..." if argument.nargs == -1 else word
    return several if argument.required else f"[{several}]"


def row(parameter: Any) -> str:
    """One parameter, as a row of a table."""
    if parameter.param_type_name == "argument":
        spelling = _argument(parameter)
    else:
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        spelling = names if parameter.is_flag else f"{names} {_value(parameter)}"
    said = _text(parameter.help or "").rstrip(".")
    extra = []
    if parameter.required and parameter.param_type_name == "option":
        extra.append("required")
    if (
        parameter.show_default
        and parameter.default not in (None, False, True, [], ())
        and not callable(parameter.default)
    ):
        extra.append(f"default {getattr(parameter.default, 'value', parameter.default)}")
    cells = [f"`{spelling}`", f"{said} ({', '.join(extra)})" if extra else said]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    written = option.type_descriptor.annotation
    kinds = [written, *typing.get_args(written)]
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            return "|".join(map(str, typing.get_args(kind)))
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "|".join(str(one.value) for one in kind)
    return "N" if int in kinds else "NUMBER" if float in kinds else str(option.name).upper().replace("_", "-")


def paragraphs(text: str) -> Iterator[str]:
    """A command's text: what is set off by a control character is an example, or written in lines for a reason."""
    for part in re.split(r"\n\s*\n", text):
        if part.startswith("\b"):
            yield f"```text\n{part.removeprefix(chr(8)).strip()}\n```\n"
        elif part.strip():
            yield f"{_text(part)}\n"


def _text(text: str) -> str:
    """Words of a help text as Markdown, in which brackets and underlines mean something."""
    joined = " ".join(text.split())
    # What is in backticks is shown as it is.
    pieces = re.split(r"(`[^`]*`)", joined)
    return "".join(piece if piece.startswith("`") else re.sub(r"([*_<>\[\]])", r"\\\1", piece) for piece in pieces)


if __name__ == "__main__":
    sys.exit(main())
