# SPDX-License-Identifier: Apache-2.0
"""What `mlflow import` and `mlflow push` do between an MLflow server and a store of ours, apart from how they show it.

Both can be repeated at will. They look at the far end for what is there already, and keep no file of what was done. So
if an exchange was killed, anybody can start it again from anywhere, and it goes on where it was.
"""
