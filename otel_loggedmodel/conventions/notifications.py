# SPDX-License-Identifier: Apache-2.0
"""Spans of servers that nobody has asked anything: notifications of the Model Context Protocol, which have no answer.

A client sends one when a session begins, and others as it goes on, each a trace of its own on the server's side.
Source: https://modelcontextprotocol.io/specification/2025-11-25/basic#notifications and
https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
"""

from typing import Final

METHOD: Final = "mcp.method.name"
"""The attribute that says what was sent."""
BEGINNING: Final = "notifications/"
"""How its value begins."""
