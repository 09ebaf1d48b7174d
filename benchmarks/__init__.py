# SPDX-License-Identifier: Apache-2.0
"""What the library costs, measured side by side with its alternatives in one run: `python -m benchmarks --help`."""
