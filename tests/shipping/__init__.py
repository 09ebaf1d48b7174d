# SPDX-License-Identifier: Apache-2.0
"""What is shipped: packages as they are installed, and files for the tools that other people work with."""
