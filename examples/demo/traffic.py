# SPDX-License-Identifier: Apache-2.0
"""People with questions: requests to the application, a few at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

QUESTIONS: Final = tuple(Path(__file__).with_name("questions.txt").read_text(encoding="utf-8").splitlines())
_AT_ONCE: Final = 8
_TURNS: Final = 3


@dataclass(frozen=True)
class Request:
    """One question.

    Attributes:
        release: The version that is to answer.
        question: What is asked.
        conversation: In which conversation; the stand-in for a language model takes its chances from it and the
            question.
    """

    release: str
    question: str
    conversation: str


class Outcome:
    """What came of requests.

    Attributes:
        statuses: How many were answered with which HTTP status, by release.
        samples: The answers, by release and question.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[int]] = {}
        self.samples: dict[tuple[str, str], str] = {}

    def add(self, request: Request, response: httpx.Response) -> None:
        """Count an answer."""
        self.statuses.setdefault(request.release, Counter())[response.status_code] += 1
        if response.status_code == 200:
            self.samples[request.release, request.question] = response.json()["text"]

    def update(self, other: "Outcome") -> None:
        """Count what another counted."""
        for release, statuses in other.statuses.items():
            self.statuses.setdefault(release, Counter()).update(statuses)
        self.samples.update(other.samples)

    def summary(self, release: str) -> str:
        """Such as `36 answered, 4 refused (503)`."""
        statuses = self.statuses[release]
        refused = ", ".join(
            f"{number} refused ({status})" for status, number in sorted(statuses.items()) if status != 200
        )
        return f"{statuses[200]} answered" + (f", {refused}" if refused else "")


def requests(releases: Iterable[str], rounds: int, *, kind: str) -> list[Request]:
    """Every question, so many times, of each release in turn: what happens to this machine meanwhile happens to all.

    Three questions in a row are one conversation.
    """
    return [
        Request(release, question, f"{kind}-{number}-{place // _TURNS}")
        for number in range(rounds)
        for place, question in enumerate(QUESTIONS)
        for release in releases
    ]


def send(
    asked: Iterable[Request], urls: Mapping[str, str], *, routed: bool, on_answer: Callable[[], object]
) -> Outcome:
    """Send requests, and wait for the answers.

    Args:
        asked: The requests.
        urls: Where the application is, by release.
        routed: Whether each request says by the header `X-Release` which version is to answer.
        on_answer: Called after each answer.
    """
    outcome = Outcome()
    # Without the environment's proxies, which cannot reach this machine's loopback.
    with httpx.Client(timeout=30, trust_env=False) as client:

        def ask(request: Request) -> tuple[Request, httpx.Response]:
            question = {"text": request.question, "conversation": request.conversation}
            headers = {"X-Release": request.release} if routed else {}
            return request, client.post(f"{urls[request.release]}/ask", json=question, headers=headers)

        # Threads rather than asyncio, which leaves traces on the screen when Ctrl-C hits it while it starts.
        people = ThreadPoolExecutor(max_workers=_AT_ONCE)
        try:
            for request, response in people.map(ask, asked):
                outcome.add(request, response)
                on_answer()
        finally:
            people.shutdown(cancel_futures=True)
    return outcome
