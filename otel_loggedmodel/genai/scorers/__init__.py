# SPDX-License-Identifier: Apache-2.0
"""Built-in scorers. Only judges need a language model. What a scorer needs is imported when it is made."""

import importlib
from typing import Any

from otel_loggedmodel.genai.scorers.budgets import LatencyBudget, TokenBudget, ToolCallCorrectness
from otel_loggedmodel.genai.scorers.conversations import (
    ConversationalGuidelines,
    ConversationalRoleAdherence,
    ConversationalSafety,
    ConversationalToolCallEfficiency,
    ConversationCompleteness,
    KnowledgeRetention,
    UserFrustration,
)
from otel_loggedmodel.genai.scorers.judges import (
    Correctness,
    Guidelines,
    RelevanceToQuery,
    RetrievalGroundedness,
    Safety,
)
from otel_loggedmodel.genai.scorers.judging import Judge, make_judge
from otel_loggedmodel.genai.scorers.overlap import Bleu, EmbeddingSimilarity, RougeL
from otel_loggedmodel.genai.scorers.structured import JSONSchema, NumericCloseness, ValidJSON
from otel_loggedmodel.genai.scorers.text import Contains, ExactMatch, NormalizedMatch, RegexMatch, ResponseLength
from otel_loggedmodel.genai.scoring import Scorer, scorer

__all__ = [
    "Bleu",
    "Contains",
    "ConversationCompleteness",
    "ConversationalGuidelines",
    "ConversationalRoleAdherence",
    "ConversationalSafety",
    "ConversationalToolCallEfficiency",
    "Correctness",
    "EmbeddingSimilarity",
    "ExactMatch",
    "Guidelines",
    "JSONSchema",
    "Judge",
    "KnowledgeRetention",
    "LatencyBudget",
    "NormalizedMatch",
    "NumericCloseness",
    "RegexMatch",
    "RelevanceToQuery",
    "ResponseLength",
    "RetrievalGroundedness",
    "RougeL",
    "Safety",
    "Scorer",
    "TokenBudget",
    "ToolCallCorrectness",
    "UserFrustration",
    "ValidJSON",
    "make_judge",
    "scorer",
]


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
