# SPDX-License-Identifier: Apache-2.0
"""Tests of what a version is and which one is active."""
