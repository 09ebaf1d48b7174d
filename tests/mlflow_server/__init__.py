# SPDX-License-Identifier: Apache-2.0
"""Tests of a tracking server without a real one; those with a real one are in `tests/with_mlflow`."""
