# SPDX-License-Identifier: Apache-2.0
"""What is shown once the traffic is stored: the command line at work on it."""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import backend_process
import place

import versions

_STOPS: Final = {
    0: "exit status 0: a build goes on.",
    1: "exit status 1: a regression, a build stops here.",
    2: "exit status 2: not enough traces to tell, a build stops here, too.",
}
# So many of an id are shown, and every command takes them.
_SHOWN_DIGITS: Final = 8
_CANNED: Final = (
    "answers are canned: times, errors and tokens are the stand-in's, prices those of the models that it stands in for"
)
_LIMITS: Final = ("worse(error_rate)", "latency_ms.p50 > 2000", "cost_usd_per_trace > 0.01")


class FailedCommandError(Exception):
    """A command did not do what it is for; the message says which."""


def show_sample(samples: Mapping[tuple[str, str], str]) -> None:
    """One question, and what each version answered."""
    question = next(
        (asked for _, asked in samples if all((release, asked) in samples for release in versions.RELEASES)), None
    )
    if question is None:
        return
    _title("One question", "there is no language model here: a stand-in copies sentences from help articles")
    print(f"  {question}")
    for release in versions.RELEASES:
        print(textwrap.fill(f"  {release}  {samples[release, question]}", 100, subsequent_indent="      "))


def show_commands(running: backend_process.Backend) -> None:
    """The command line on what the backend has.

    Raises:
        FailedCommandError: One of them failed.
    """
    base, candidate = (versions.id_of(release)[-_SHOWN_DIGITS:] for release in versions.RELEASES)
    _title("From a shell, as long as this backend runs")
    print(f"$ export OTEL_LOGGEDMODEL_STORE={running.url}", flush=True)
    _title("Which versions are there?")
    _run(running, ["models"])
    _title("Is the new one better?", _CANNED)
    _run(running, ["compare", base, candidate])
    _title("Which answers took longest?")
    _run(running, ["traces", candidate, "--order", "slowest", "--limit", "3"])
    _title("May it be released?", "not if nothing may be worse")
    _gate(running, [base, candidate])
    _title("And by what somebody agreed to?", "no more errors, most answers within two seconds, for a cent at most")
    _gate(running, [base, candidate, *(word for limit in _LIMITS for word in ("--fail-if", limit))])


def show_ending(directory: Path) -> None:
    """What can be done next."""
    data = backend_process.from_here(place.data_in(directory))
    _title("To look around in it", "the next demo begins with an empty directory")
    print(f"$ {backend_process.shown('serve', '--data', data)}")
    print("and open http://127.0.0.1:4318/, or ask from another shell, without --store:")
    print(f"$ {backend_process.shown('show', versions.NAME)}")
    _title("What to try next")
    print("  Change a param in examples/demo/versions.py and run this again: that is another version, with another id.")
    print("  More traffic, make demo DEMO_ARGS='--rounds 10': enough for a verdict on the 99th percentile, too.")
    print(f"  With that backend running: {backend_process.python()} examples/quickstart.py")
    print("  Read examples/demo/app.py: the lines marked `version` are all that an application needs.")


def show_pages(running: backend_process.Backend) -> None:
    """Where to look, while the backend runs."""
    base, candidate = (versions.id_of(release)[-_SHOWN_DIGITS:] for release in versions.RELEASES)
    _title("Open it in a browser", "the backend goes on until Ctrl-C")
    print(f"  what is deployed     {running.url}/")
    print(f"  is v2 better?        {running.url}/compare?version={base}&version={candidate}")
    print(f"  what failed          {running.url}/traces?errors_only=true")
    print(f"  a conversation       {running.url}/traces?conversation=direct-0-0")
    print("Until Ctrl-C.", flush=True)


def _run(running: backend_process.Backend, arguments: Sequence[str]) -> None:
    status = running.run(*arguments)
    if status != 0:
        raise FailedCommandError(f"{backend_process.shown(*arguments)}: exit status {status}")


def _gate(running: backend_process.Backend, arguments: Sequence[str]) -> None:
    status = running.run("gate", *arguments)
    if status not in _STOPS:
        raise FailedCommandError(f"{backend_process.shown('gate', *arguments)}: exit status {status}")
    print(_STOPS[status], flush=True)


def _title(text: str, remark: str = "") -> None:
    print(f"\n{_painted('1', text)}" + (f"\n({remark})" if remark else ""), flush=True)


def _painted(code: str, text: str) -> str:
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{code}m{text}\033[0m" if wanted else text
