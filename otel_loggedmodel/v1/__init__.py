# SPDX-License-Identifier: Apache-2.0
"""Generated from `proto/otel_loggedmodel/v1/`; see `otel_loggedmodel.versions.messages` for how to use it."""
