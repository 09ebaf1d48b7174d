# SPDX-License-Identifier: Apache-2.0
"""What records real frameworks: a model server that counts, a receiver, the frameworks, and what is kept of them."""
