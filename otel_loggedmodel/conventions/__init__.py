# SPDX-License-Identifier: Apache-2.0
"""How instrumentations write GenAI telemetry: which attribute of which convention says what.

Everything that reads telemetry, in SQL or in Python, asks this package. Nothing here knows of a store, a page or a
version.
"""
