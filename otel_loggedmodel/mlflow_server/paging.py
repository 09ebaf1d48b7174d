# SPDX-License-Identifier: Apache-2.0
"""Reads answers that the server gives a page at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def pages(
    call: Callable[[str, str, Mapping[str, object]], dict[str, Any]], path: str, question: Mapping[str, object]
) -> Iterator[dict[str, Any]]:
    """The pages of an answer. Each is asked for when the one before it is done with.

    Args:
        call: Makes a call, as `rest.Server.call` does. What it raises is raised here.
        path: The path of the search.
        question: What to ask, without a page.
    """
    token = ""
    while True:
        answer = call("POST", path, {**question, "page_token": token} if token else question)
        yield answer
        token = answer.get("next_page_token") or ""
        if not token:
            return
