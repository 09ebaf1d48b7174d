# SPDX-License-Identifier: Apache-2.0
"""The commands of the command line, one module each, and what they share.

`application` puts them together. `options` and `selecting` read what is common to them, `opening` finds the store,
`printing` writes to terminal and pipe, `formatting` makes numbers readable. Whatever decides something is apart from
whatever prints it: `rules` and `gating` for the gate, `deploying` for environment lines, `diagnosis` for the doctor,
`exchange` for MLflow.

Modules import what is heavy (rich, msgspec, the store, the server, exporters) inside functions: a command has to answer
in a fraction of a second.
"""
