# SPDX-License-Identifier: Apache-2.0
"""A search is asked for page by page, and no page before it is wanted."""

from collections.abc import Mapping
from typing import Any

from otel_loggedmodel.mlflow_server.paging import pages

ANSWERS = {
    None: {"models": [1], "next_page_token": "second"},
    "second": {"next_page_token": "third"},
    "third": {"models": [3], "next_page_token": ""},
}


def test_pages_are_asked_for_one_after_the_other_until_there_is_none() -> None:
    asked: list[tuple[str, str, Mapping[str, object]]] = []

    def call(method: str, path: str, question: Mapping[str, object]) -> dict[str, Any]:
        asked.append((method, path, question))
        return ANSWERS[question.get("page_token")]

    question = {"max_results": 1}
    found = pages(call, "/search", question)
    assert next(found)["models"] == [1]
    assert asked == [("POST", "/search", {"max_results": 1})]
    assert list(found) == [ANSWERS["second"], ANSWERS["third"]]
    assert asked[1:] == [("POST", "/search", {"max_results": 1, "page_token": token}) for token in ("second", "third")]
    assert question == {"max_results": 1}
