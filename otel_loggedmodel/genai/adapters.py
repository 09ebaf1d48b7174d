# SPDX-License-Identifier: Apache-2.0
"""Scorers of other libraries, taken as they are: MLflow's, autoevals' and ragas'."""

import inspect
from typing import Any

from otel_loggedmodel.genai.scoring import FunctionScorer, Scorer


def as_scorer(judge: Any) -> Scorer:
    """A scorer, whatever library's it is; a plain function becomes one of its name.

    Raises:
        TypeError: It is none.
    """
    if isinstance(judge, Scorer):
        return judge
    if inspect.isclass(judge) and issubclass(judge, Scorer):
        raise TypeError(f"{judge.__name__} is a class: pass an object of it, {judge.__name__}()")
    if callable(judge):
        return FunctionScorer(judge)
    raise TypeError(f"{judge!r} is no scorer: write a function of inputs, outputs, expectations or trace with @scorer")
