# SPDX-License-Identifier: Apache-2.0
"""The two versions of the application. Each is nothing but its params, and the application does what they say."""

from typing import Final

import otel_loggedmodel

NAME: Final = "support-assistant"

PARAMS: Final = {
    "v1": {
        "llm_model": "stand-in-small",
        "temperature": "0.9",
        "max_tokens": "120",
        "retrieval_k": "2",
        "prompt": "Answer in one sentence, from these articles only.",
    },
    "v2": {
        "llm_model": "stand-in-large",
        "temperature": "0.2",
        "max_tokens": "120",
        "retrieval_k": "4",
        "prompt": "Answer in three sentences, from these articles only, and name them.",
    },
}


def create(release: str) -> otel_loggedmodel.LoggedModel:
    """The version of a release. Every process that asks for it gets the same id, without asking anybody."""
    return otel_loggedmodel.create_external_model(
        name=NAME, model_type="agent", params=PARAMS[release], tags={"release": release}
    )
