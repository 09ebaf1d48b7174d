# SPDX-License-Identifier: Apache-2.0
"""Names that have a version number in them: `my-agent-v2.0` comes after `my-agent-v1.0`.

MLflow's way is to have the version in the name, so that each version has a name of its own.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

_NUMBERED: Final = re.compile(r"(.*?[^\W\d_].*?)[-_ ./:@]*[vV]?(\d{1,9}(?:\.\d{1,9})*)")
_LONGEST: Final = 200

_Number = tuple[int, ...]


def numbered(name: str) -> tuple[str, _Number] | None:
    """What is before the number at the end of a name, and the number; None where there is none."""
    match = _NUMBERED.fullmatch(name) if len(name) <= _LONGEST else None
    return None if match is None else (match[1], tuple(map(int, match[2].split("."))))


class Numbering:
    """Which names come before others.

    Args:
        names: All that there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_stem: dict[str, list[tuple[_Number, str]]] = defaultdict(list)
        for name in names:
            found = numbered(name)
            if found is not None:
                self._by_stem[found[0]].append((found[1], name))
        for together in self._by_stem.values():
            together.sort(reverse=True)

    def before(self, name: str) -> Iterator[str]:
        """The names that differ from a name only in a lower number, the highest first."""
        found = numbered(name)
        if found is not None:
            yield from (other for number, other in self._by_stem.get(found[0], ()) if number < found[1])
