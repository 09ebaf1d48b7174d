# SPDX-License-Identifier: Apache-2.0
"""What is to be said of a tracking server without one; the rest is in tests/mlflow_server."""
