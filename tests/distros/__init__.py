# SPDX-License-Identifier: Apache-2.0
"""Applications under vendors' distributions of OpenTelemetry, each in an environment of its own."""
