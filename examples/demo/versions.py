# SPDX-License-Identifier: Apache-2.0
"""The two versions of the application. Each is nothing but its params, and the application does what they say.

They have one name. Their ids follow from their params, and the tags `release` and `stage` say what people call them.
"""

from typing import Final

import otel_loggedmodel

NAME: Final = "support-agent"
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


_STAGES: Final = {"v1": "production", "v2": "candidate"}


def create(release: str) -> otel_loggedmodel.LoggedModel:
    """The version of a release. Every process that asks for it gets the same id, without asking anybody."""
    model = made(release)
    otel_loggedmodel.set_logged_model_tags(model.model_id, {"release": release, "stage": _STAGES[release]})
    return model


def made(release: str) -> otel_loggedmodel.LoggedModel:
    """The same, without what people call it."""
    return otel_loggedmodel.create_external_model(name=NAME, model_type="agent", params=PARAMS[release])


def id_of(release: str) -> str:
    """The id of the version of a release."""
    return create(release).model_id
