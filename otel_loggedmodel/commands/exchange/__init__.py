# SPDX-License-Identifier: Apache-2.0
"""Between an MLflow server and a store of ours: what `mlflow import` and `mlflow push` do, apart from how they show it.

Either is repeated at will. What is at the far end already is found there, not in a file of what was done: so an
exchange that was killed goes on where it was, whoever starts it again and from wherever.
"""
