# SPDX-License-Identifier: Apache-2.0
"""What a good answer is: the function that was meant, first, or at least among those that are named."""

from otel_loggedmodel.genai.scorers import LatencyBudget, scorer

fast_enough = LatencyBudget(max_ms=50)


@scorer
def found(outputs, expectations):
    """Whether the first answer is the right one."""
    return outputs[:1] == [expectations["expected_response"]]


@scorer
def reciprocal_rank(outputs, expectations):
    """1 for the first answer, 1/2 for the second, 1/3 for the third, else 0."""
    wanted = expectations["expected_response"]
    return 1 / (1 + outputs.index(wanted)) if wanted in outputs else 0.0
