# SPDX-License-Identifier: Apache-2.0
"""A support assistant in two versions, traffic to both, and what its spans say of each: the demo behind `make demo`.

Exit status: 0, every entry span is linked to its version; 1, not so, or something failed; 2, packages are missing;
130, interrupted.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.dont_write_bytecode = True  # a demo leaves nothing behind
_HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

if TYPE_CHECKING:
    from collections.abc import Sequence

    from destinations import Destination
    from processes import Children, ServerProcess
    from report import Report
    from traffic import Outcome

_NEEDED: Final = (
    "otel_loggedmodel",
    "opentelemetry.exporter.otlp",
    "opentelemetry.instrumentation.fastapi",
    "fastapi",
    "uvicorn",
    "httpx",
)
_RELEASES: Final = ("v1", "v2")
# What each server process is told; the one that serves both chooses for each request.
_SERVERS: Final[dict[str, dict[str, str]]] = {
    "v1": {"SUPPORT_RELEASE": "v1", "SUPPORT_STAGE": "production"},
    "v2": {"SUPPORT_RELEASE": "v2", "SUPPORT_STAGE": "candidate"},
    "both": {},
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a small application in two versions, and show what was linked.")
    parser.add_argument(
        "--receiver", action="store_true", help="send to a receiver in this process, even where there is a Collector"
    )
    arguments = parser.parse_args()
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        print(
            f"The demo needs {', '.join(missing)}, which this Python does not have: run `make demo`,", file=sys.stderr
        )
        print("or `pip install --editable '.[demo]'` in an environment of your own.", file=sys.stderr)
        return 2
    from destinations import NoCollectorError
    from processes import NotStartedError

    try:
        return _demo(Progress(), in_process=arguments.receiver)
    except KeyboardInterrupt:
        print("\nInterrupted. Every process that the demo had started is stopped.", file=sys.stderr)
        return 130
    except NoCollectorError as error:
        print(f"{error}\nThe demo works without a Collector too: {sys.argv[0]} --receiver", file=sys.stderr)
        return 1
    except NotStartedError as error:
        print(error, file=sys.stderr)
        return 1


class Progress:
    """Lines that say what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self._start:4.1f} s] {text}", flush=True)


def _demo(say: Progress, *, in_process: bool) -> int:
    from processes import Children
    from report import report_on

    with tempfile.TemporaryDirectory(prefix="otel-loggedmodel-demo-") as temporary, Children() as children:
        directory = Path(temporary)
        destination = _destination(children, directory, in_process, say)
        say("starting three server processes: one serves v1, one v2, one both")
        servers = {
            name: _application(children, name, settings, destination.endpoint, directory)
            for name, settings in _SERVERS.items()
        }
        for name, server in servers.items():
            server.wait_until_ready()
            say(f"the one that serves {name} answers (pid {server.pid})")
        outcomes = [_ask(name, server, say) for name, server in servers.items()]
        say("stopping the servers, which send their last spans")
        for server in servers.values():
            server.stop()
        spans = destination.collect()
        say(f"{len(spans)} spans arrived")
    return _show(report_on(spans), outcomes)


def _ask(name: str, server: "ServerProcess", say: Progress) -> "Outcome":
    import traffic

    routed = name == "both"
    releases = _RELEASES if routed else (name,)
    by_header = ", chosen for each request by the header X-Release" if routed else ""
    say(f"asking {len(traffic.QUESTIONS)} questions of {' and '.join(releases)}{by_header}")
    outcome = traffic.send(server.url, releases, routed=routed)
    for release in outcome.statuses:
        say(f"{release}: {outcome.summary(release)} (pid {server.pid})")
    return outcome


def _show(found: "Report", outcomes: "Sequence[Outcome]") -> int:
    import screen

    paint = screen.Paint(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
    samples = {key: text for outcome in outcomes for key, text in outcome.samples.items()}
    question = next(
        (asked for release, asked in samples if all((other, asked) in samples for other in _RELEASES)), None
    )
    if question is not None:
        print(f"\n{paint.bold('One question')} (the stand-in for a language model copies sentences from the articles)")
        print(f"  {question}")
        for release in _RELEASES:
            print(textwrap.fill(f"  {release}  {samples[release, question]}", 100, subsequent_indent="      "))
    print("", *screen.lines_of(found, paint), sep="\n")
    sent: Counter[str] = Counter()
    for outcome in outcomes:
        sent.update({release: statuses.total() for release, statuses in outcome.statuses.items()})
    problems = found.problems(sent)
    if problems:
        print("", *(paint.bad(f"NOT AS EXPECTED: {problem}") for problem in problems), sep="\n")
        return 1
    print(f"\n{paint.bold('What to try next')}")
    print("  Change a param in examples/demo/versions.py and run this again: that is another version, with another id.")
    print("  Send spans to a backend of yours: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \\")
    print(f"    {_command()} examples/quickstart.py")
    print("  Read examples/demo/app.py: the lines marked `version` are all that an application needs.")
    return 0


def _destination(children: "Children", directory: Path, in_process: bool, say: Progress) -> "Destination":
    from destinations import Collector, InProcess, find_collector

    binary = None if in_process else find_collector()
    if binary is not None:
        say(f"starting the OpenTelemetry Collector {binary}")
        destination: Destination = Collector(children, binary, directory)
    else:
        destination = InProcess()
    say(f"spans go over OTLP to {destination.description}")
    if binary is None and not in_process:
        say("no OpenTelemetry Collector here; to see the same through a real one: make otelcol, then make demo")
    return destination


def _application(
    children: "Children", name: str, settings: dict[str, str], endpoint: str, directory: Path
) -> "ServerProcess":
    from processes import ServerProcess, ask, clean_environment

    def answers(port: int, pid: int) -> bool:
        # Asked for the process id, too: a port that was free may have been taken by somebody else.
        return ask(port, "GET", "/health") == (200, json.dumps({"pid": pid}, separators=(",", ":")).encode())

    return ServerProcess(
        children,
        name=f"support-assistant-{name}",
        command=lambda port: [
            *(sys.executable, "-m", "uvicorn", "--factory", "app:create_app", "--app-dir", str(_HERE)),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
        ],
        environment=lambda port: clean_environment(
            OTEL_SERVICE_NAME="support-assistant",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_SEMCONV_STABILITY_OPT_IN="http",
            **settings,
        ),
        is_ready=answers,
        log_directory=directory,
    )


def _command() -> str:
    """How to start the Python that runs this, from here."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


if __name__ == "__main__":
    sys.exit(main())
