# SPDX-License-Identifier: Apache-2.0
"""What a list of traces can be narrowed to with one click, with counts, and a picture of when its traces began."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.presenting.texts import clean, cut
from otel_loggedmodel.store.faceting import PARTS
from otel_loggedmodel.store.trace_results import Facets, FacetValue

# Heading and parameter of the address, in the order of the page.
KINDS: Final = (
    ("Outcome", "errors_only"),
    ("Failed with", "error_type"),
    ("Model", "model"),
    ("Route", "route"),
    ("Score", "score"),
    ("Service", "service"),
    ("Conversation", "conversation"),
)
# Versions are offered apart, as several of them may be ticked.
# How many values of a kind are offered.
_MOST_OFFERED: Final = 6
_SHOWN_CHARACTERS: Final = 80
_HEIGHT: Final = 40
# A part with a single trace of thousands is seen, too.
_LEAST: Final = 2.0


@dataclass(frozen=True)
class Offer:
    """A value that the list can be narrowed to, with one click.

    Attributes:
        label: The value, as people read it.
        count: How many traces the narrower list has.
        address: Of the narrower list.
    """

    label: str
    count: int
    address: str


def offers(
    given: Sequence[tuple[str, str]], titles: Mapping[str, Title], found: Facets
) -> list[tuple[str, list[Offer]]]:
    """What tells the traces of a list apart, by kind: what all of them share narrows nothing.

    Args:
        given: The parameters of the address.
        titles: What versions are called, by their ids.
        found: What the traces of the list have.
    """
    made = []
    for heading, name in KINDS:
        if dict(given).get(name):
            continue
        values = found.values.get(name, ())
        if name == "errors_only" and found.errors:
            values = (FacetValue(value="true", traces=found.errors),)
        if len(values) == 1 and values[0].traces == found.traces:
            continue
        shown = [
            Offer(_said(name, one.value, titles), one.traces, _with(given, name, one.value))
            for one in values[:_MOST_OFFERED]
        ]
        if shown:
            made.append((heading, shown))
    return made


@dataclass(frozen=True)
class VersionOffer:
    """A version that the list is narrowed to, or could be.

    Attributes:
        value: What stands for it in the address.
        label: What it is called.
        count: How many traces of the list it has; None where these were not counted.
        address: Of the list with this version, too; empty where it is ticked.
    """

    value: str
    label: str
    count: int | None
    address: str = ""

    @property
    def is_ticked(self) -> bool:
        """Whether the list has its traces."""
        return not self.address


def version_offers(
    given: Sequence[tuple[str, str]], chosen: Mapping[str, str], titles: Mapping[str, Title], found: Facets
) -> list[VersionOffer]:
    """The versions whose traces the list has, and those that could be added; none where there is nothing to choose.

    Args:
        given: The parameters of the address.
        chosen: The versions of the address as it names them, with their ids.
        titles: What versions are called, by their ids: the likeliest to be added first.
        found: What the traces of the list have.
    """
    counts = {one.value: one.traces for one in found.values.get("version", ())}
    ticked = [
        VersionOffer(text, _said("version", model_id, titles), counts.get(model_id, 0))
        for text, model_id in chosen.items()
    ]
    others = [model_id for model_id in (titles if chosen else counts) if model_id not in chosen.values()]
    if not chosen and len(others) < 2:
        return []
    return ticked + [
        VersionOffer(
            model_id, _said("version", model_id, titles), counts.get(model_id), _with(given, "version", model_id)
        )
        for model_id in others[:_MOST_OFFERED]
    ]


def total(found: Facets, versions: int = 0) -> str:
    """How many traces there are, in words.

    Args:
        found: What they have.
        versions: How many versions they are of, if several were chosen.
    """
    if not found.traces:
        return ""
    kind = f" of {versions} versions" if versions > 1 else " trace" if found.traces == 1 else " traces"
    failed = f", {formatting.count(found.errors)} failed" if found.errors else ""
    if found.is_cut:
        return f"of the newest {formatting.count(found.traces)}{failed or ', none failed'}"
    return f"{formatting.count(found.traces)}{kind}{failed}"


def when(found: Facets) -> Markup | None:
    """When the traces began, as bars, with those that failed at the foot; None where all began at once."""
    if len(found.parts) < 2:
        return None
    first_ms, most = found.parts[0].start_ms, max(part.traces for part in found.parts)
    bars = []
    for part in found.parts:
        x = 100 * (part.start_ms - first_ms) / (PARTS * found.step_ms)
        said = f"{formatting.instant(part.start_ms)}: {formatting.count(part.traces)} traces"
        said += f", {formatting.count(part.errors)} failed" if part.errors else ""
        for kind, number in (("self", part.traces), ("fail", part.errors)):
            if number:
                height = max(_LEAST, _HEIGHT * number / most)
                bars.append(
                    Markup('<rect class="bar {}" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"/>').format(
                        kind, x, _HEIGHT - height, 100 / PARTS - 0.3, height
                    )
                )
        bars.append(
            Markup('<rect class="said" x="{:.2f}%" width="{:.2f}%" height="{}"><title>{}</title></rect>').format(
                x, 100 / PARTS, _HEIGHT, clean(said)
            )
        )
    label = f"When {formatting.count(found.traces)} traces began; at the foot those that failed"
    return Markup('<svg class="plot chart" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _HEIGHT, label, Markup("").join(bars)
    )


def _said(name: str, value: str, titles: Mapping[str, Title]) -> str:
    if name == "errors_only":
        return "failed"
    if name == "version" and value in titles:
        title = titles[value]
        is_alone = sum(one.text == title.text for one in titles.values()) == 1
        return title.text if is_alone else f"{title.text} {title.short_id}"
    return cut(value, _SHOWN_CHARACTERS)


def _with(given: Sequence[tuple[str, str]], name: str, value: str) -> str:
    return f"/traces?{urlencode([*given, (name, value)], errors='replace')}"
