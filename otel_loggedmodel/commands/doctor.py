# SPDX-License-Identifier: Apache-2.0
"""`doctor`: why no spans arrive."""

import contextlib
from typing import TYPE_CHECKING, Final

import typer

from otel_loggedmodel.commands import exits, options, printing

if TYPE_CHECKING:
    from otel_loggedmodel.commands.diagnosis.steps import Step


EXAMPLES: Final = """
OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 otel-loggedmodel doctor
"""


def doctor(json: options.Json = False) -> None:
    """Send a span as this environment's exporter is configured, and say where the chain breaks.

    Run it where the application runs: in its container, with its environment. It takes at most ten seconds, and shows
    no secrets.
    """
    from otel_loggedmodel.commands.diagnosis.examination import examine
    from otel_loggedmodel.commands.diagnosis.steps import Outcome

    steps: list[Step] = []
    # The steps that are printed meanwhile show the progress.
    with printing.progress("Sending a span") if json else contextlib.nullcontext():
        for step in examine():
            steps.append(step)
            if not json:
                _show(step)
    is_broken = any(step.outcome is Outcome.FAILED for step in steps)
    if json:
        printing.show_json({"ok": not is_broken, "steps": steps})
    elif is_broken:
        printing.complain("The chain is broken: see above.")
    raise typer.Exit(exits.BROKEN if is_broken else exits.OK)


def _show(step: "Step") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from otel_loggedmodel.presenting.texts import clean

    style = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}[step.outcome.value]
    indent = 9
    head = Text.assemble((f"{step.outcome:<{indent}}", style), (f"{step.name}: ", "bold"), clean(step.text))
    below = [Text(clean(detail), "dim") for detail in step.details]
    if step.advice:
        below.append(Text(f"-> {clean(step.advice)}"))
    printing.show(head, *(Padding(line, (0, 0, 0, indent), expand=False) for line in below))
