# SPDX-License-Identifier: Apache-2.0
"""One module for each convention, all of one shape: a constant `SOURCE` (`conventions.shape`)."""
