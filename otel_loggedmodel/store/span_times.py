# SPDX-License-Identifier: Apache-2.0
"""When a span began and ended, and how long it took, as SQL over the columns of the table of spans.

The Collector's exporter subtracts without sign, so a span that ended before it began has a huge duration.
"""

from typing import Final

HUGE: Final = 1 << 63
"""From here on, a stored duration is that of a span that ended before it began; ns."""
START: Final = "toUnixTimestamp64Nano(Timestamp)"
"""When it began, in ns since the epoch."""
IS_BROKEN: Final = f"Duration >= {HUGE}"
"""Whether it ended before it began."""
DURATION: Final = f"if({IS_BROKEN}, 0, Duration)"
"""How long it took, in ns; 0 if it ended before it began."""
END: Final = f"{START} + greatest(0, toInt64(Duration))"
"""When it ended, in ns since the epoch; when it began, if it ended before that."""
