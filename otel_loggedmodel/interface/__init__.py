# SPDX-License-Identifier: Apache-2.0
"""More of the functions that MLflow's pages on tracing, versions and evaluation call, under the names of these pages.

`docs/mlflow-interface.md` says of each what is the same here, what differs, and what is not here and why.
"""
