# SPDX-License-Identifier: Apache-2.0
"""Judges by a language model of the user's: MLflow's names, with prompts of this library's own."""

import importlib
from typing import Any

from otel_loggedmodel.genai.judges.asking import (
    is_context_relevant,
    is_correct,
    is_grounded,
    is_safe,
    make_judge,
    meets_guidelines,
)
from otel_loggedmodel.genai.judges.models import model_of
from otel_loggedmodel.genai.scorers.judging import Judge

__all__ = [
    "Judge",
    "is_context_relevant",
    "is_correct",
    "is_grounded",
    "is_safe",
    "make_judge",
    "meets_guidelines",
    "model_of",
]


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
