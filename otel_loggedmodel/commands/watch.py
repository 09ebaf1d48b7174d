# SPDX-License-Identifier: Apache-2.0
"""`watch`: hold a candidate against rules while its traffic arrives, until it is decided or time is up."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import exits, gate, opening, options, printing
from otel_loggedmodel.commands.bar import read_bar
from otel_loggedmodel.commands.gating import GateResult, OnUnknown, Outcome
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.reading import StoreUnavailableError, UnknownVersionError

EXAMPLES: Final = """
Rules are those of `gate`. Each look is a whole comparison, with intervals and
p-values that hold however often they are looked at. It ends as soon as a rule
fails (exit code 1) or all of them pass (0); at the deadline, what is still
unknown ends with 2, or as --unknown says.

otel-loggedmodel watch my-agent-v1 my-agent-v2 --since 1h --deadline 2h
otel-loggedmodel watch v1 v2 --fail-if 'worse(error_rate)' --every 30s
"""
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


@dataclass(frozen=True)
class _Look:
    """What one look saw: a result, or why there is none."""

    result: GateResult | None
    trouble: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether more traffic changes nothing any more."""
        if self.result is None:
            return False
        if self.result.outcome is Outcome.FAILED:
            return any(rule.outcome is Outcome.FAILED for rule in self.result.rules)
        return all(rule.outcome is Outcome.PASSED for rule in self.result.rules)

    @property
    def text(self) -> str:
        """The same in a line."""
        if self.result is None:
            return self.trouble
        base, candidate = (formatting.count(one.traces) for one in (self.result.baseline, self.result.candidate))
        tally = [
            f"{sum(rule.outcome is outcome for rule in self.result.rules)} {outcome}"
            for outcome in Outcome
            if any(rule.outcome is outcome for rule in self.result.rules)
        ]
        return f"{base} and {candidate} traces; rules: {', '.join(tally)}"


def watch(
    baseline: options.Baseline,
    candidate: options.Candidate,
    fail_if: options.FailIf = None,
    require: options.Require = None,
    margin: options.Margins = None,
    rules: Annotated[Path | None, typer.Option("--rules", metavar="FILE", help="TOML file, as that of `gate`.")] = None,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="How long between two looks: 30s, 5m.")] = "1m",
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="TIME", help="When to end with what is known then: 30m, 2h.")
    ] = "1h",
    min_traces: Annotated[
        int | None, typer.Option("--min-traces", min=0, help="Judge nothing with fewer traces of either. Default: 20")
    ] = None,
    min_scores: Annotated[
        int | None, typer.Option("--min-scores", min=0, help="Judge no score with fewer values. Default: 10")
    ] = None,
    unknown: Annotated[
        OnUnknown | None,
        typer.Option(
            "--unknown",
            help="What becomes of a rule that is undecided at the deadline; `wait` is exit code 2. Default: wait",
        ),
    ] = None,
    junit: options.Junit = None,
    github: options.Github = False,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    by: options.By = None,
    runs: options.Runs = "latest",
    failed_rows: options.FailedRows = "skip",
    pass_at: options.PassAt = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Watch a candidate while its traffic arrives: exit code 0 passes, 1 fails, 2 is undecided at the deadline."""
    # Read once, as a time such as `24h` ago would move with each look.
    selection = options.read_selection(
        since,
        until,
        service,
        attribute,
        dataset=dataset,
        production=production,
        prompt=prompt,
        agent=agent,
        by=by,
        runs=runs,
        failed_rows=failed_rows,
        pass_at=pass_at,
    )
    wait, limit = _seconds(every, "--every"), _seconds(deadline, "--deadline")
    bar = read_bar(
        fail_if, require, rules, margin, min_traces=min_traces, min_scores=min_scores, unknown=unknown or OnUnknown.WAIT
    )

    def look() -> _Look:
        try:
            with opening.reader(store, token_file, "Comparing versions", prices) as reader:
                comparison = reader.compare([baseline, candidate], selection)
            return _Look(bar.judged(comparison, repeated=True))
        except UnknownVersionError as error:
            return _Look(None, str(error))

    last = _until_decided(look, wait, limit, is_quiet=json)
    if last.result is None:
        printing.complain(
            f"otel-loggedmodel: nothing to judge in {deadline}: {last.trouble}\nDoes its traffic reach the store?"
            " `otel-loggedmodel models` lists what does, and `otel-loggedmodel doctor` finds out why it does not."
        )
        raise typer.Exit(exits.NOT_ENOUGH_DATA)
    gate.end_with(last.result, junit, github, json)


def _until_decided(look: Callable[[], _Look], wait: float, limit: float, *, is_quiet: bool) -> _Look:
    """Look until it is decided, or time is up: the last look.

    Raises:
        StoreUnavailableError: The first look finds no store. What later looks miss may come back.
    """
    end = time.monotonic() + limit
    number = 0
    last = _Look(None, "")
    with _telling(is_quiet) as tell:
        while True:
            number += 1
            try:
                last = look()
                text = last.text
            except StoreUnavailableError as error:
                if number == 1:
                    raise
                text = f"no answer: {error}"
            left = end - time.monotonic()
            tell(f"{datetime.now(timezone.utc):%H:%M:%SZ}  look {number}: {text}", max(left, 0.0))
            if last.is_decided or left <= 0:
                return last
            time.sleep(min(wait, left))


@contextmanager
def _telling(is_quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Says what each look saw: on a terminal in a line that is written anew, elsewhere in a line for each.

    With JSON on standard output, the lines go to standard error.
    """
    stream = sys.stderr if is_quiet else sys.stdout
    if not stream.isatty():
        yield lambda text, left: printing.write(f"{clean(text)}\n", stream)
        return
    from rich.text import Text

    console = printing.console_for(stream)
    with console.status(Text("Looking")) as status:
        yield lambda text, left: status.update(Text(f"{clean(text)}; {formatting.duration(left)} left"))


def _seconds(text: str, option: str) -> float:
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise typer.BadParameter(f"{clean(text)!r} is no time: write 30s, 5m or 2h", param_hint=option)
    return seconds
