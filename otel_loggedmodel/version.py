# SPDX-License-Identifier: Apache-2.0
"""The version of this distribution, in one place: the build reads it, and every record carries it as its scope."""

__version__ = "0.1.0"
