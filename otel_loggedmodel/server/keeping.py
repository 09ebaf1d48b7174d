# SPDX-License-Identifier: Apache-2.0
"""The paths that look after the store of a running backend: its condition, repair, backup, restore and export.

Changes write files at a place that a client names. So they are only for those who have the token, or the secret that
the backend writes into the lock file of its store. Only the owner of the store's directory can read that file.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_loggedmodel.server import openapi
from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.api import ApiError, error_of, error_of_refusal, json_response
from otel_loggedmodel.server.refusing import RefusalError
from otel_loggedmodel.store.exporting import Wanted
from otel_loggedmodel.store.reading import ReadingError
from otel_loggedmodel.store.upkeep import Upkeep

SECRET_HEADER: Final = "x-otel-loggedmodel-secret"  # noqa: S105 - its name
_MOST_BYTES: Final = 16 * 1024


P = TypeVar("P", "_Place", Wanted)


class _Place(msgspec.Struct):
    path: str


class Keeping:
    """The paths below `/api/v1/store`.

    Args:
        upkeep: Who does it; None where the store is not looked after from here.
        access: Who may ask.

    Attributes:
        secret: What proves that a client can read the store's directory.
    """

    def __init__(self, upkeep: Upkeep | None, access: Access) -> None:
        self._upkeep = upkeep
        self._access = access
        self.secret = secrets.token_urlsafe(32)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/api/v1/openapi.json", self._show_description, methods=["GET"]),
            Route("/api/v1/store", self._show_condition, methods=["GET"]),
            Route("/api/v1/store/repair", self._repair, methods=["POST"]),
            Route("/api/v1/store/backup", self._back_up, methods=["POST"]),
            Route("/api/v1/store/restore", self._restore, methods=["POST"]),
            Route("/api/v1/store/export", self._export, methods=["POST"]),
        ]

    async def _show_description(self, request: Request) -> Response:
        try:
            self._access.check_question(request)
        except RefusalError as error:
            return error_of_refusal(error).response()
        return Response(openapi.document(), media_type="application/json")

    async def _show_condition(self, request: Request) -> Response:
        try:
            self._access.check_question(request)
        except RefusalError as error:
            return error_of_refusal(error).response()
        return await self._answer(lambda upkeep: upkeep.condition())

    async def _repair(self, request: Request) -> Response:
        return self._refused(request) or await self._answer(lambda upkeep: upkeep.repair())

    async def _back_up(self, request: Request) -> Response:
        return await self._with_path(request, lambda upkeep, path: upkeep.backup(path))

    async def _restore(self, request: Request) -> Response:
        return await self._with_path(request, lambda upkeep, path: upkeep.restore(path))

    async def _export(self, request: Request) -> Response:
        return await self._with_content(request, Wanted, lambda upkeep, wanted: upkeep.export(wanted))

    async def _with_path(self, request: Request, do: Callable[[Upkeep, Path], object]) -> Response:
        return await self._with_content(request, _Place, lambda upkeep, place: do(upkeep, Path(place.path)))

    async def _with_content(self, request: Request, kind: type[P], do: Callable[[Upkeep, P], object]) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                return ApiError(413, "too_large", "that is no path").response()
        try:
            content = msgspec.json.decode(body, type=kind)
            if not Path(content.path).is_absolute() or "\0" in content.path:
                raise ValueError(content.path)
        except (msgspec.DecodeError, ValueError):
            return ApiError(400, "bad_request", 'expected {"path": "/an/absolute/path"}').response()
        return await self._answer(lambda upkeep: do(upkeep, content))

    async def _answer(self, do: Callable[[Upkeep], object]) -> Response:
        upkeep = self._upkeep
        try:
            if upkeep is None:
                raise ReadingError("this backend does not look after its store")
            # It gets a thread of its own: a backup may take long, and there are few threads for readers.
            return json_response(await asyncio.to_thread(do, upkeep))
        except (Exception, asyncio.CancelledError) as error:
            return error_of(error).response()

    def _refused(self, request: Request) -> Response | None:
        """The answer to whoever may not change anything, or None."""
        shown = request.headers.get(SECRET_HEADER, "")
        try:
            self._access.check_question(request, wants_token=False)
            if hmac.compare_digest(shown.encode(), self.secret.encode()):
                return None
            if not self._access.has_token:
                text = (
                    "this backend has no token: run the command with --store chdb:///DIRECTORY on its own machine, as"
                    " the user whose store it is"
                )
                return ApiError(403, "forbidden", text).response()
            self._access.check_token_of(request)
        except RefusalError as error:
            return error_of_refusal(error).response()
        return None
