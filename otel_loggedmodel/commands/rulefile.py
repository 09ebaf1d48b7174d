# SPDX-License-Identifier: Apache-2.0
"""Rules in a TOML file, for a repository to keep beside its code.

min_traces = 50
unknown = "fail"
fail_if = [
  "error_rate > 0.05",
  "latency_ms.p95 > +10% and worse",
]
require = ["not_worse(scores.correctness, 2%)"]

[margins]
error_rate = "0.2pp"
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from otel_loggedmodel.commands.rules import RuleError
from otel_loggedmodel.presenting.texts import clean, did_you_mean


@dataclass(frozen=True, kw_only=True)
class RuleFile:
    """What a file of rules says; None if it says nothing.

    Attributes:
        fail_if: The rules.
        min_traces: How many traces each version needs.
        min_scores: How many values of a score each version needs.
        unknown: `pass`, `fail` or `wait`.
        require: What the candidate has to show.
        margins: The largest difference that hardly matters, by metric.
    """

    fail_if: tuple[str, ...] = ()
    min_traces: int | None = None
    min_scores: int | None = None
    unknown: str | None = None
    require: tuple[str, ...] = ()
    margins: Mapping[str, str] = field(default_factory=dict)


def read_rule_file(path: Path) -> RuleFile:
    """Read a file of rules.

    Raises:
        RuleError: It cannot be read or says what is not understood.
    """
    import msgspec

    try:
        content: Any = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise RuleError(f"--rules {clean(str(path))} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RuleError(f"--rules {clean(str(path))} is no TOML: {clean(str(error))}") from None
    known = [field.name for field in fields(RuleFile)]
    for key in content:
        if key not in known:
            hint = did_you_mean(key, known) or f" There are {', '.join(known)}."
            raise RuleError(f"--rules {clean(str(path))} says {clean(key)!r}, which is not known.{hint}")
    try:
        return msgspec.convert(content, RuleFile)
    except msgspec.ValidationError as error:
        raise RuleError(f"--rules {clean(str(path))}: {clean(str(error))}") from None
