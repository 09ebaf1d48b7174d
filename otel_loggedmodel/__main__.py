# SPDX-License-Identifier: Apache-2.0
"""`python -m otel_loggedmodel` is the command line, for where its script is not on the path."""

from otel_loggedmodel.cli import main

main()
