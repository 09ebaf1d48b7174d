# SPDX-License-Identifier: Apache-2.0
"""The answers of a `Reader` as HTML: pages that a backend serves, and a comparison as a file.

Nothing here reads a store or knows HTTP. Names, messages and attributes come from whoever sends spans, so that every
value is escaped, and what could reverse or hide text is written out.
"""
