# SPDX-License-Identifier: Apache-2.0
"""Tests with a real MLflow server and MLflow's own client, in an environment of their own: `make test-mlflow`."""
