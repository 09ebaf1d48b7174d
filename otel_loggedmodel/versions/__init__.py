# SPDX-License-Identifier: Apache-2.0
"""What a version is, and which one is active.

`model` and `identity` say what a version is and how its id follows from that. `active` holds the scopes and the process
default; `resolution` turns a name or an id into a version, and `catalogue` remembers what this process knows. `records`
writes versions as spans and reads them back.
"""
