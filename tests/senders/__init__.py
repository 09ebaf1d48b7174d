# SPDX-License-Identifier: Apache-2.0
"""Programs in other languages that send with their own SDKs to a real backend; `make test-senders` runs them."""
