# SPDX-License-Identifier: Apache-2.0
"""Vendors' own set-ups of OpenTelemetry, each run as an application runs it."""
