# SPDX-License-Identifier: Apache-2.0
"""The filters of `search_traces` and `search_logged_models`: conditions joined by AND, as MLflow writes them.

Source: https://mlflow.org/docs/latest/genai/tracing/search-traces/
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ITEM: Final = r"""(?:'[^']*'|"[^"]*"|-?\d+(?:\.\d+)?)"""
_CONDITION: Final = re.compile(
    rf"""\s*(?P<key>(?:[A-Za-z_]+\s*\.\s*)?(?:`[^`]+`|"[^"]+"|[A-Za-z_][\w.-]*))\s*
        (?P<comparison>>=|<=|!=|=|>|<|NOT\s+IN|IN|ILIKE|LIKE|IS\s+NOT\s+NULL|IS\s+NULL)\s*
        (?P<value>{_ITEM}|\(\s*{_ITEM}(?:\s*,\s*{_ITEM})*\s*,?\s*\)|)\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_AND: Final = re.compile(r"\s*AND\b", re.IGNORECASE)
_TEXTS: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"|(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        kind: What stands before the dot, in lower case, such as `tags`; empty if there is no dot.
        key: The name.
        comparison: Such as `=` or `LIKE`, in upper case.
        value: A text, a number, a tuple of these, or None.
    """

    kind: str
    key: str
    comparison: str
    value: Any

    def holds(self, found: Any) -> bool:
        """Whether it holds for a value; for None only `IS NULL` does."""
        if self.comparison in ("IS NULL", "IS NOT NULL"):
            return (found is None) == (self.comparison == "IS NULL")
        if found is None:
            return False
        if self.comparison in ("IN", "NOT IN"):
            return (str(found) in map(str, self.value)) == (self.comparison == "IN")
        if self.comparison in ("LIKE", "ILIKE"):
            flags = re.IGNORECASE if self.comparison == "ILIKE" else 0
            return re.fullmatch(_pattern(str(self.value)), str(found), flags | re.DOTALL) is not None
        if isinstance(self.value, int | float):
            try:
                found = float(found)
            except (TypeError, ValueError):
                return False
            return _COMPARED[self.comparison](found, self.value)
        return _COMPARED[self.comparison](str(found), self.value)


_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda found, value: bool(found == value),
    "!=": lambda found, value: bool(found != value),
    ">": lambda found, value: bool(found > value),
    ">=": lambda found, value: bool(found >= value),
    "<": lambda found, value: bool(found < value),
    "<=": lambda found, value: bool(found <= value),
}


def conditions_of(text: str | None) -> list[Condition]:
    """The conditions that a filter is.

    Raises:
        TypeError: It is no text.
        ValueError: It cannot be read.
    """
    if text is None:
        return []
    if not isinstance(text, str):
        raise TypeError(f"filter_string is {type(text).__name__}: pass a text, as in \"status = 'ERROR'\"")
    found: list[Condition] = []
    place = 0
    while text[place:].strip():
        if found:
            joint = _AND.match(text, place)
            if joint is None:
                raise ValueError(f"the filter cannot be read from {text[place:].strip()!r} on: join conditions by AND")
            place = joint.end()
        match = _CONDITION.match(text, place)
        if match is None or (not match["value"] and not match["comparison"].upper().startswith("IS")):
            raise ValueError(
                f"the filter cannot be read from {text[place:].strip()!r} on: write key = 'value', with texts in quotes"
            )
        found.append(_condition(match))
        place = match.end()
    return found


def _condition(match: re.Match[str]) -> Condition:
    name = match["key"]
    kind, dot, key = name.partition(".")
    if name[0] in '`"' or not dot:
        kind, key = "", name
    values = [_value(one) for one in _TEXTS.finditer(match["value"])]
    comparison = " ".join(match["comparison"].upper().split())
    if comparison in ("IN", "NOT IN"):
        value: Any = tuple(values)
    else:
        value = values[0] if values else None
    return Condition(kind.strip().lower(), key.strip().strip('`"'), comparison, value)


def _value(match: re.Match[str]) -> Any:
    if match[3] is None:
        return match[1] if match[1] is not None else match[2]
    return float(match[3]) if "." in match[3] else int(match[3])


def _pattern(like: str) -> str:
    return "".join(".*" if part == "%" else "." if part == "_" else re.escape(part) for part in like)


def ordered_by(items: list[Any], order_by: Any, value: Callable[[Any, str], Any]) -> list[Any]:
    """Items in an order such as `["timestamp_ms DESC"]`; what has no value comes last.

    Args:
        items: What to sort.
        order_by: A list of texts, or of dicts with `field_name` and `ascending`.
        value: The value of an item, by its key.
    """
    for wanted in reversed(list(order_by or ())):
        if isinstance(wanted, Mapping):
            key, is_ascending = str(wanted["field_name"]), bool(wanted.get("ascending", True))
        else:
            key, _, direction = str(wanted).strip().partition(" ")
            is_ascending = direction.strip().upper() != "DESC"
        known = [(found, item) for item in items if (found := value(item, key)) is not None]
        unknown = [item for item in items if value(item, key) is None]
        known.sort(key=lambda pair: pair[0], reverse=not is_ascending)
        items = [item for _, item in known] + unknown
    return items
