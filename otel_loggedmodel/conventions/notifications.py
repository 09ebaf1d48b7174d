# SPDX-License-Identifier: Apache-2.0
"""Spans of the Model Context Protocol that are nobody's request: notifications, and how a session begins.

A client sends notifications as it goes on; they have no answer. When a session begins, it says who it is and asks what
there is. Each may be a trace of its own on the server's side.
Source: https://modelcontextprotocol.io/specification/2025-11-25/basic#notifications and
https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
"""

from typing import Final

METHOD: Final = "mcp.method.name"
"""The attribute that says what was sent."""
BEGINNING: Final = "notifications/"
"""How its value begins for a notification."""
OF_SESSIONS: Final = ("initialize", "ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""Its values for what a client sends by itself when a session begins."""
