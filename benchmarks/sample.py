# SPDX-License-Identifier: Apache-2.0
"""Traces of a version as arrays."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Sample:
    """Traces of a version; every array has one value for each.

    Attributes:
        latency: The latency in ms.
        failed: Whether it failed.
        tokens: Input tokens; output tokens are a tenth of them.
        unit: The conversation it belongs to; none where each is by itself.
        weight: How many traces it stands for; none where each counts once.
        route: A number for the name of its entry span.
        hour: Since 1970.
        failed_calls: Calls of models that failed; by default none.
    """

    latency: np.ndarray
    failed: np.ndarray
    tokens: np.ndarray
    unit: np.ndarray | None = None
    weight: np.ndarray | None = None
    route: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    hour: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    failed_calls: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.failed_calls):
            self.failed_calls = np.zeros(len(self.latency))
        if not len(self.route):
            self.route = np.zeros(len(self.latency), int)
        if not len(self.hour):
            self.hour = np.full(len(self.latency), 500_000)
