# SPDX-License-Identifier: Apache-2.0
"""Who announces a version, where several processes of a host use it: one of them, and then again one of them.

What a process does not announce, because another does, it looks at again when that is due. If the other one has only
begun, it looks again soon. A process that ends does not trust in what another has only begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.identity import span_id_from
from otel_loggedmodel.versions.model import ModelEvent

if TYPE_CHECKING:
    # It takes as long to import as all else here; `keeping` does so where there is a place for notes.
    from otel_loggedmodel.delivery.announced import Announced

# A process that begins to use a version leaves it to others only for so long: somebody may have emptied the backend.
_FIRST_SECONDS: Final = 3600.0
_LOOK_AGAIN_SECONDS: Final = 5.0


class Sharing:
    """What one exporter leaves to other processes of this host.

    Args:
        beside: What they have told the same place; None if that cannot be known, and then nothing is left to them.
        repeat_after: Seconds after which a version is announced again.
    """

    def __init__(self, beside: Announced | None, repeat_after: float) -> None:
        self._beside = beside
        self._repeat_after = repeat_after
        self._begin()

    def _begin(self) -> None:
        self._look_again: dict[str, float] = {}
        self._deleted: set[str] = set()
        self._claimed: list[str] = []

    def due_of(self, model_ids: Iterable[str], now: float, *, insist: bool) -> Iterable[str]:
        """These versions and those that were left to others, without those that others are about to announce."""
        if not self._look_again:
            return model_ids
        every = dict.fromkeys((*model_ids, *self._look_again))
        return [model_id for model_id in every if insist or self._look_again.get(model_id, now) <= now]

    def claim(
        self,
        stale: Sequence[str],
        fresh: Sequence[ModelEvent],
        announced: Mapping[str, float],
        now: float,
        *,
        insist: bool,
    ) -> tuple[Mapping[str, float], frozenset[str]]:
        """Which of the versions that are about to be announced others announce.

        Args:
            stale: Those in use that are due.
            fresh: What has happened in this process and was not told yet.
            announced: When this place was told of a version last.
            now: By the clock of the exporters.
            insist: Whether others must have announced it, not only be about to.

        Returns:
            The versions that others have announced, and when, by the clock of the exporters; and those that they are
            about to announce.
        """
        # Who creates a version again has a reason to say so.
        self._deleted.update(event.model_id for event in fresh if event.kind == "deleted")
        if self._beside is None:
            return {}, frozenset()
        created = (event.model_id for event in fresh if event.kind == "created")
        keys = dict(self._keys_of(dict.fromkeys((*stale, *created))))
        longest = {
            key: self._repeat_after if model_id in announced else min(self._repeat_after, _FIRST_SECONDS)
            for model_id, key in keys.items()
        }
        said = self._beside.claim(longest)
        told: dict[str, float] = {}
        deferred: set[str] = set()
        self._claimed = []
        for model_id, key in keys.items():
            self._look_again.pop(model_id, None)
            one = said.get(key)
            if one is not None and one.is_told:
                told[model_id] = now - one.age
            elif one is not None and not one.is_told and not insist:
                deferred.add(model_id)
                self._look_again[model_id] = now + _LOOK_AGAIN_SECONDS
            else:
                self._claimed.append(key)
        return told, frozenset(deferred)

    def settle(self, *, is_told: bool) -> None:
        """Say what came of what was claimed last."""
        claimed, self._claimed = self._claimed, []
        if self._beside is not None and claimed:
            self._beside.settle(claimed, is_told=is_told)

    def close(self) -> None:
        """Leave everything to others."""
        if self._beside is not None:
            self._beside.close()

    def after_fork(self) -> None:
        """In a forked child: begin anew."""
        if self._beside is not None:
            self._beside.after_fork()
        self._begin()

    def _keys_of(self, model_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What stands for each version and all that this process has to say of it. Others may know of other changes."""
        for model_id in model_ids:
            events = catalogue.announcement_of(model_id)
            if model_id in self._deleted or not any(event.kind == "created" for event in events):
                continue
            changes = sorted(event.span_id or 0 for event in events if event.kind == "updated")
            yield model_id, f"{model_id}:{span_id_from(repr(changes)):016x}" if changes else model_id
