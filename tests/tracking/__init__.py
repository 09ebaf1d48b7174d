# SPDX-License-Identifier: Apache-2.0
"""What of tracking servers needs no server."""
