# SPDX-License-Identifier: Apache-2.0
"""What MLflow's own client finds in an experiment."""

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Trace


class Looking:
    """What MLflow's client finds in an experiment."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def models(self) -> dict[str, LoggedModel]:
        """By name."""
        found = self._client.search_logged_models([self._experiment_id])
        by_name = {model.name: model for model in found}
        assert len(by_name) == len(found)
        return by_name

    def traces(self, name: str | None = None) -> list[Trace]:
        """Those of a LoggedModel; else all."""
        model_id = None if name is None else self.models()[name].model_id
        return self._traces(model_id, include_spans=True)

    def linked(self, name: str) -> int:
        """How many traces a LoggedModel has; without looking into them."""
        return len(self._traces(self.models()[name].model_id, include_spans=False))

    def _traces(self, model_id: str | None, *, include_spans: bool) -> list[Trace]:
        found: list[Trace] = []
        token = None
        while True:
            page = self._client.search_traces(
                locations=[self._experiment_id],
                model_id=model_id,
                max_results=500,
                page_token=token,
                include_spans=include_spans,
            )
            found += page
            token = page.token
            if not token:
                return found

    def counts(self) -> dict[str, int]:
        """How many traces each LoggedModel has."""
        return {name: len(self.traces(name)) for name in self.models()}

    def has(self, **counts: int) -> Callable[[], bool]:
        return lambda: self.counts() == counts
