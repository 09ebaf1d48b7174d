# SPDX-License-Identifier: Apache-2.0
"""What people read, in the words and numbers that the command line and the pages share."""
