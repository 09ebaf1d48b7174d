# SPDX-License-Identifier: Apache-2.0
"""The commands of the command line, one module each, and what they share.

`application` puts them together. `options` and `selecting` read what is common to them, `opening` finds the store,
`printing` writes to terminal and pipe, `formatting` makes numbers readable. What decides is kept apart from what
prints: `rules` and `gating` for the gate, `deploying` for environment lines, `diagnosis` for the doctor, `exchange` for
MLflow.

Modules import what is heavy (rich, msgspec, the store, the server, exporters) inside functions, as a command has to
answer in a fraction of a second.
"""
