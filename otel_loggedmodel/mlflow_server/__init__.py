# SPDX-License-Identifier: Apache-2.0
"""An MLflow tracking server as a backend: its LoggedModels, the link from a trace to one, and assessments of traces.

Nothing here needs the `mlflow` package: the server is asked over its REST API.
"""
