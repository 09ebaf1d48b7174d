# SPDX-License-Identifier: Apache-2.0
"""What the questions behind pages have in common: parameters of addresses, and what several pages name."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from starlette.requests import Request

from otel_loggedmodel.pages.addresses import SELECTION, Chosen
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.server.remembering import Remembering
from otel_loggedmodel.store.choosing import LOCAL_BACKEND
from otel_loggedmodel.store.reading import Reader, Selection, VersionFilter
from otel_loggedmodel.store.version_results import Version

_MOST_NAMES: Final = 1000
_MOST_PAGES: Final = 1000
ID_OF_TRACE: Final = re.compile(r"[0-9a-f]{32}")
"""What the ids of traces look like, and of runs, which are traces."""
# Nothing that a shell reads as more than a word.
_PLAIN_ADDRESS: Final = re.compile(r"https?://[\w.:-]+|https?://\[[0-9a-fA-F:.]+\](:\d+)?", re.ASCII)


@dataclass(frozen=True)
class Page:
    """A page that is asked for.

    Attributes:
        name: The page's name.
        title: As the browser's tab shows it.
        make: Asks the store, and makes the values that the template shows.
        template: Its file.
    """

    name: str
    title: str
    template: str
    make: Callable[[Remembering], Mapping[str, Any]]


def query_of(request: Request, known: set[str]) -> dict[str, list[str]]:
    """The parameters of an address.

    Args:
        request: The request.
        known: Those that the page has, beside those that say which traces count.

    Raises:
        BadParameterError: There is another one.
    """
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    unknown = sorted(set(found) - known - SELECTION)
    if unknown:
        raise BadParameterError(f"The address has a parameter that is unknown here: {', '.join(unknown)}.")
    return found


def chosen_of(query: Mapping[str, Sequence[str]]) -> tuple[Chosen, Selection]:
    """Which traces count, and the same for a reader."""
    chosen = Chosen.of(query)
    now = time.time()
    # What `24h` means changes once a minute, so that its answers are good for some time.
    minute = datetime.fromtimestamp(now // 60 * 60, timezone.utc)
    return chosen, chosen.selection(minute)


def datasets_of(reader: Reader, *, evaluated: bool = True) -> list[str]:
    """What data sets can be chosen by: their names, each of which may stand for several, else their digests.

    Args:
        reader: Who knows them.
        evaluated: Leave out those that are kept, and that nothing has been evaluated on yet.
    """
    found = (one.name or one.digest for one in reader.datasets() if one.digest or not evaluated)
    return list(dict.fromkeys(filter(None, found)))


def known_versions(reader: Remembering, model_ids: Iterable[str] | None = None) -> dict[str, Version]:
    """The versions by their ids, those that were used or made last first.

    Args:
        reader: Who knows them.
        model_ids: The versions that a page names, if it shows no others. Then it waits only if one of them is new.
    """
    which = VersionFilter(limit=_MOST_NAMES, counted=False)
    found = reader.versions(which) if model_ids is None else reader.versions_with(which, frozenset(model_ids))
    return {version.model_id: version for version in found}


def meant(known: Mapping[str, Version], text: str, found: Collection[str] = ()) -> str:
    """The id of the version that an address names, as far as can be told; else the text itself.

    Args:
        known: The versions by their ids, those that were used or made last first.
        text: An id, the beginning or the end of one, or a name.
        found: The ids that were found for all texts of the address.
    """
    ids = [*known, *(model_id for model_id in found if model_id not in known)]
    likely = [model_id for model_id in ids if text and (model_id.startswith(text) or model_id.endswith(text))]
    called = [model_id for model_id, version in known.items() if version.name == text]
    among = (model_id for model_id in (*likely, *called) if model_id in found)
    return text if text in ids else next(among, next(iter((*likely, *called)), text))


def names_of(known: Mapping[str, Version]) -> list[str]:
    """The names of versions, each once."""
    return list(dict.fromkeys(version.name for version in known.values() if version.name is not None))


def titles_of_ids(known: Mapping[str, Version], model_ids: Iterable[str]) -> dict[str, Title]:
    """What versions are called, by their ids."""
    return {
        model_id: Title.of(known[model_id]) if model_id in known else Title(model_id=model_id)
        for model_id in dict.fromkeys(model_ids)
    }


def address_of(request: Request) -> str:
    """The address of this backend, as the browser has it."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost:4318')}"


def store_option(request: Request) -> str:
    """What commands need to find this backend; nothing where they find it by themselves."""
    address = address_of(request)
    is_found = address in (LOCAL_BACKEND, LOCAL_BACKEND.replace("127.0.0.1", "localhost"))
    return "" if is_found or not _PLAIN_ADDRESS.fullmatch(address) else f" --store {address}"


def one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The first value of a parameter that is not empty."""
    return next((value for value in query.get(name, ()) if value), None)


def number(query: Mapping[str, Sequence[str]], name: str, default: int = 1) -> int:
    """A parameter that is a number; at least what it is by default.

    Raises:
        BadParameterError: It is none, or too large.
    """
    text = one(query, name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > _MOST_PAGES:
        raise BadParameterError(f"{name} is {text!r}: expected a number up to {_MOST_PAGES}.")
    return max(int(text), default)
