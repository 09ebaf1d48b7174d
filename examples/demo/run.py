# SPDX-License-Identifier: Apache-2.0
"""A support agent in two versions, traffic to both, and the backend's answer to which is better: behind `make demo`.

At a terminal the backend goes on at the end, with everything to look at, until Ctrl-C.

Exit status: 0, everything worked; 1, something failed; 2, it cannot run here; 130, interrupted before the end.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.dont_write_bytecode = True  # a demo leaves nothing behind but its directory
_HERE: Final = Path(__file__).resolve().parent
_MOST_ROUNDS: Final = 100
_DIRECTORY: Final = _HERE.parents[1] / ".venv" / "demo"

if TYPE_CHECKING:
    from backend_process import Backend
    from processes import Children, ServerProcess
    from progress import Progress
    from traffic import Outcome

_NEEDED: Final = (
    *("otel_loggedmodel", "opentelemetry.exporter.otlp", "opentelemetry.instrumentation.fastapi"),
    *("fastapi", "uvicorn", "httpx", "chdb", "clickhouse_connect", "genai_prices", "msgspec", "rich", "typer"),
)
# What each server process is told; the one that serves both chooses for each request.
_SERVERS: Final[dict[str, dict[str, str]]] = {
    "v1": {"SUPPORT_RELEASE": "v1"},
    "v2": {"SUPPORT_RELEASE": "v2"},
    "both": {},
}


def main() -> int:
    arguments = _arguments()
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        print(f"The demo needs {', '.join(missing)}, which this Python does not have.", file=sys.stderr)
        print("Run `make demo`, or `pip install '.[demo,server]'` in an environment of your own.", file=sys.stderr)
        print("The backend runs on Linux and macOS, with Python 3.11 or newer.", file=sys.stderr)
        return 2
    import httpx
    from collector_process import NoCollectorError
    from place import NoPlaceError
    from processes import NotStartedError
    from story import FailedCommandError

    from otel_loggedmodel.store.reading import ReadingError

    try:
        return _demo(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted. Every process that the demo had started is stopped.", file=sys.stderr)
        return 130
    except NoPlaceError as error:
        print(error, file=sys.stderr)
        return 2
    except NoCollectorError as error:
        print(f"{error}\nThe demo works without a Collector too: {sys.argv[0]} --direct", file=sys.stderr)
        return 1
    except (NotStartedError, FailedCommandError, ReadingError, httpx.HTTPError) as error:
        print(f"{error}\nWhat each process said is in {arguments.directory}/*.log", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run a small application in two versions, and ask the backend which is better."
    )
    parser.add_argument(
        "--direct", action="store_true", help="send straight to the backend, even where there is a Collector"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="how often every question is asked of each version (5)"
    )
    parser.add_argument(
        "--directory",
        type=lambda text: Path(text).absolute(),
        default=_DIRECTORY,
        help="where data and logs go; emptied first (.venv/demo)",
    )
    parser.add_argument(
        "--stay",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="leave the backend running at the end, until Ctrl-C (at a terminal, but not in CI)",
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.rounds <= _MOST_ROUNDS:
        parser.error(f"--rounds: between 1 and {_MOST_ROUNDS}")
    if arguments.stay is None:
        arguments.stay = sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")
    return arguments


def _demo(arguments: argparse.Namespace) -> int:
    import place
    import story
    from backend_process import Backend
    from collector_process import find_collector
    from processes import Children
    from progress import Progress
    from traffic import Outcome

    say = Progress()
    directory: Path = arguments.directory
    binary = None if arguments.direct else find_collector()
    with place.emptied(directory), Children() as children:
        say("starting the backend: otel-loggedmodel serve")
        backend = Backend(children, place.data_in(directory), directory)
        say(f"it listens at {backend.url} (pid {backend.pid})")
        if binary is None and not arguments.direct:
            say("no OpenTelemetry Collector here; to see the same through a real one: make otelcol, then make demo")
        endpoint = _endpoint(children, backend, binary, directory, say)
        servers = _start(children, endpoint, directory, say)
        outcome = Outcome()
        outcome.update(_ask({"v1": servers["v1"], "v2": servers["v2"]}, arguments.rounds, say))
        outcome.update(_ask({"v1": servers["both"], "v2": servers["both"]}, 1, say))
        say("stopping the three, which send their last spans")
        for server in servers.values():
            server.stop()
        _wait(backend, outcome, say)
        story.show_sample(outcome.samples)
        story.show_commands(backend)
        if arguments.stay:
            return _stay(backend)
    story.show_ending(directory)
    return 0


def _endpoint(children: "Children", backend: "Backend", binary: Path | None, directory: Path, say: "Progress") -> str:
    """Where the application sends its spans."""
    from collector_process import Collector

    if binary is None:
        say("spans go to it directly, over OTLP")
        return backend.url
    say(f"starting the OpenTelemetry Collector {binary}")
    collector = Collector(children, binary, backend.url, directory)
    say(f"spans go to it through the Collector at {collector.url} (pid {collector.pid}), over OTLP")
    return collector.url


def _start(children: "Children", endpoint: str, directory: Path, say: "Progress") -> "dict[str, ServerProcess]":
    say("starting three processes of the support agent: one serves v1, one v2, one both")
    servers = {name: _application(children, name, settings, endpoint, directory) for name, settings in _SERVERS.items()}
    for name, server in servers.items():
        server.wait_until_ready()
        say(f"the one that serves {name} answers (pid {server.pid})")
    return servers


def _application(
    children: "Children", name: str, settings: dict[str, str], endpoint: str, directory: Path
) -> "ServerProcess":
    from processes import ServerProcess, ask, clean_environment

    def answers(port: int, pid: int) -> bool:
        # Asked for the process id, too: a port that was free may have been taken by somebody else.
        return ask(port, "GET", "/health") == (200, json.dumps({"pid": pid}, separators=(",", ":")).encode())

    return ServerProcess(
        children,
        name=f"support-agent-{name}",
        command=lambda port: [
            *(sys.executable, "-m", "uvicorn", "--factory", "app:create_app", "--app-dir", str(_HERE)),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
        ],
        environment=lambda port: clean_environment(
            OTEL_SERVICE_NAME="support-agent",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_SEMCONV_STABILITY_OPT_IN="http",
            **settings,
        ),
        is_ready=answers,
        log_directory=directory,
    )


def _ask(servers: "dict[str, ServerProcess]", rounds: int, say: "Progress") -> "Outcome":
    """Ask questions of each release, where it is served."""
    import traffic

    pids = {server.pid for server in servers.values()}
    routed = len(pids) < len(servers)
    asked = traffic.requests(servers, rounds, kind="routed" if routed else "direct")
    by_header = " of the process that serves both, which chooses by the header X-Release" if routed else ""
    say(f"asking {len(asked) // len(servers)} questions each of {' and '.join(servers)}{by_header}")
    urls = {release: server.url for release, server in servers.items()}
    outcome = traffic.send(asked, urls, routed=routed, on_answer=say.counting(len(asked), "answered"))
    for release, server in servers.items():
        say(f"{release}: {outcome.summary(release)} (pid {server.pid})")
    return outcome


def _wait(backend: "Backend", outcome: "Outcome", say: "Progress") -> None:
    """Wait until the backend has what was sent."""
    import arrival

    from otel_loggedmodel.store import open_reader

    sent = sum(statuses.total() for statuses in outcome.statuses.values())
    say("waiting until the backend has all of it")
    reader = open_reader(backend.url)
    arrival.wait_for(reader, sent, say.counting(sent, "traces are there"))
    reader.close()


def _stay(backend: "Backend") -> int:
    """Wait for Ctrl-C, which is how this ends well."""
    import story

    story.show_pages(backend)
    try:
        while backend.is_running():
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    print("The backend has ended.", file=sys.stderr)
    return 1


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


if __name__ == "__main__":
    sys.exit(main())
