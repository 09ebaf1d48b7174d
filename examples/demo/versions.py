# SPDX-License-Identifier: Apache-2.0
"""The two versions of the application. Each is nothing but its params, and the application does what they say."""

from typing import Final

import otel_loggedmodel

RELEASES: Final = ("v1", "v2")

PARAMS: Final = {
    "v1": {
        "llm_model": "gpt-4.1-mini",
        "temperature": "0.9",
        "max_tokens": "120",
        "retrieval_k": "2",
        "prompt": "Answer in one sentence, from these articles only.",
    },
    "v2": {
        "llm_model": "gpt-4.1",
        "temperature": "0.2",
        "max_tokens": "120",
        "retrieval_k": "4",
        "prompt": "Answer in three sentences, from these articles only, and name them.",
    },
}


def name_of(release: str) -> str:
    """What the version of a release is called."""
    return f"support-agent-{release}"


def create(release: str) -> otel_loggedmodel.LoggedModel:
    """The version of a release. Every process that asks for it gets the same id, without asking anybody."""
    return otel_loggedmodel.create_external_model(name=name_of(release), model_type="agent", params=PARAMS[release])
