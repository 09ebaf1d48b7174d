# SPDX-License-Identifier: Apache-2.0
"""People with questions: requests to the application, a few at a time."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx

QUESTIONS: Final = Path(__file__).with_name("questions.txt").read_text(encoding="utf-8").splitlines()
_AT_ONCE: Final = 8


class Outcome:
    """What came of some requests.

    Attributes:
        statuses: How many were answered with which HTTP status, by release.
        samples: The answers, by release and question.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[int]] = {}
        self.samples: dict[tuple[str, str], str] = {}

    def add(self, release: str, question: str, response: httpx.Response) -> None:
        self.statuses.setdefault(release, Counter())[response.status_code] += 1
        if response.status_code == 200:
            self.samples[release, question] = response.json()["text"]

    def summary(self, release: str) -> str:
        """Such as `36 answered, 4 refused (503)`."""
        statuses = self.statuses[release]
        refused = ", ".join(
            f"{number} refused ({status})" for status, number in sorted(statuses.items()) if status != 200
        )
        return f"{statuses[200]} answered" + (f", {refused}" if refused else "")


def send(url: str, releases: Sequence[str], *, routed: bool) -> Outcome:
    """Ask every question once of each release.

    Args:
        url: Where the application is.
        releases: Which versions are to answer, in turn.
        routed: Whether each request says which by the header `X-Release`.
    """
    outcome = Outcome()
    kind = "routed" if routed else "direct"
    asked = [(release, number) for number in range(len(QUESTIONS)) for release in releases]
    # Without the environment's proxies, which cannot reach this machine's loopback.
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:

        def ask(release: str, number: int) -> httpx.Response:
            question = {"text": QUESTIONS[number], "conversation": f"{kind}-{number}"}
            return client.post("/ask", json=question, headers={"X-Release": release} if routed else {})

        # Threads rather than asyncio, which leaves traces on the screen when Ctrl-C hits it while it starts.
        people = ThreadPoolExecutor(max_workers=_AT_ONCE)
        try:
            for (release, number), response in zip(asked, people.map(ask, *zip(*asked, strict=True)), strict=True):
                outcome.add(release, QUESTIONS[number], response)
        finally:
            people.shutdown(cancel_futures=True)
    return outcome
