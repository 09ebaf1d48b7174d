# SPDX-License-Identifier: Apache-2.0
"""What people call a version: its name, its label, and the short form of its id.

The short form is what every command, every address and the API take, so that what is shown can be pasted. It is the
end of the id, as ids of one name begin alike (`versions.identity`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel.presenting.texts import cut
from otel_loggedmodel.store.catalogue import RELEASE_TAGS
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.checkout import COMMIT_TAG

SHOWN_DIGITS: Final = 8
_SHOWN_CHARACTERS: Final = 40
_COMMIT_DIGITS: Final = 7
# That of a trace. Runs of one version share nothing, and are named by the beginning of their ids.
_ID_OF_RUN: Final = re.compile("[0-9a-f]{32}")
_STAGE_TAGS: Final = ("stage", "deployment.environment.name", "environment")
_SERVING: Final = frozenset({"production", "prod", "live"})


def short_id(model_id: str) -> str:
    """The last eight hex digits of an id, the first eight of a run's; an id of another shape as it is, or cut."""
    if has_id_shape(model_id):
        return model_id[-SHOWN_DIGITS:]
    if _ID_OF_RUN.fullmatch(model_id):
        return model_id[:SHOWN_DIGITS]
    return cut(model_id, _SHOWN_CHARACTERS)


def label_of(tags: Mapping[str, str]) -> str:
    """The release, else the commit, else nothing."""
    release = next((tags[tag] for tag in RELEASE_TAGS if tags.get(tag)), "")
    return release or tags.get(COMMIT_TAG, "")[:_COMMIT_DIGITS]


def stage_of(tags: Mapping[str, str]) -> str:
    """What a version is for, as its tags say: `production`, `candidate`; empty where they do not."""
    return next((tags[tag] for tag in _STAGE_TAGS if tags.get(tag)), "")


def is_serving(stage: str) -> bool:
    """Whether a stage is the one that serves users."""
    return stage.casefold() in _SERVING


@dataclass(frozen=True, kw_only=True)
class Title:
    """What a version is called.

    Attributes:
        model_id: Its id.
        name: Its name, or empty.
        label: Its release or commit, or empty.
        stage: What it is for, or empty.
    """

    model_id: str
    name: str = ""
    label: str = ""
    stage: str = ""

    @classmethod
    def of(cls, version: Version) -> "Title":
        """The title of a version."""
        return cls(
            model_id=version.model_id,
            name=version.name or "",
            label=label_of(version.tags),
            stage=stage_of(version.tags),
        )

    @property
    def short_id(self) -> str:
        """The short form of the id."""
        return short_id(self.model_id)

    @property
    def is_serving(self) -> bool:
        """Whether it is the one that serves users."""
        return is_serving(self.stage)

    @property
    def text(self) -> str:
        """Name and label, else the short id: what tells it from others without a look at the id."""
        return f"{self.name} {self.label}".strip() or self.short_id

    @property
    def full(self) -> str:
        """The same with the short id in any case, as titles of windows have it."""
        return self.text if self.text == self.short_id else f"{self.text} {self.short_id}"


@dataclass(frozen=True)
class Titles:
    """What the versions of a comparison are called.

    Attributes:
        titles: One for each version, in order.
        calls: What each is called in a sentence: as little as tells them apart.
    """

    titles: Sequence[Title]
    calls: Sequence[str] = field(default=())


def titles_of(comparison: Comparison, known: Mapping[str, Version] | None = None) -> Titles:
    """What the versions of a comparison are called.

    Args:
        comparison: The versions. Of their tags it has those that differ, which is enough to tell them apart.
        known: The versions by their ids, as far as they were read.
    """
    known = known or {}
    titles = []
    for place, version in enumerate(comparison.versions):
        whole = known.get(version.model_id)
        tags = {
            part.key: value
            for part in comparison.configuration
            if part.kind == "tag" and (value := part.values[place]) is not None
        }
        tags = {**(whole.tags if whole is not None else {}), **tags}
        titles.append(
            Title(model_id=version.model_id, name=version.name or "", label=label_of(tags), stage=stage_of(tags))
        )
    return Titles(titles, _calls(titles))


def _calls(titles: Sequence[Title]) -> list[str]:
    have_one_name = len({title.name for title in titles}) == 1
    least = [title.label if have_one_name else title.name for title in titles]
    if have_one_name and not any(least):
        return [title.short_id for title in titles]
    for calls in (least, [title.text for title in titles], [title.full for title in titles]):
        if all(calls) and len(set(calls)) == len(calls):
            return calls
    return [title.short_id for title in titles]
