# SPDX-License-Identifier: Apache-2.0
"""Finds out where the chain from an application to its backend breaks, for `doctor`.

Each step is a value (`steps`). `surroundings` looks at this installation and its environment, `endpoint` at where spans
are to go, `reaching` at the way there, `sending` at what the other side answers, `backends` at what it is, and
`arriving` at whether it kept them. `examination` puts them in order, stops when going on makes no sense, and never
takes longer than it says.
"""
