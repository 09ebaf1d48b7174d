# SPDX-License-Identifier: Apache-2.0
"""The real servers, task queues and instrumentations that applications run with."""
