"""Clip routes: sound files with their spectrograms and metadata."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from monitor.outputs.web.context import Context
from monitor.outputs.web.routes.events import NOT_FOUND
from monitor.system.trouble_log import LogLimit

log = logging.getLogger(__name__)
log.addFilter(LogLimit())

routes = APIRouter(tags=["events"])

_KINDS = {
    "flac": "audio/flac",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "png": "image/png",
    "json": "application/json",
}


@routes.get(
    "/clips/{day}/{name}",
    response_class=FileResponse,
    responses=NOT_FOUND
    | {200: {"content": {"audio/flac": {}, "image/png": {}}}, 206: {"description": "A part"}},
)
def clip(
    context: Context,
    day: Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")],
    name: Annotated[str, Path(max_length=150, pattern=r"^[A-Za-z0-9_.-]+$")],
    download: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> FileResponse:
    """Return a clip, all of it or a `Range`; with suffix `.png` its spectrogram, `.json` its metadata."""
    kind = _KINDS.get(name.rpartition(".")[2])
    try:
        file = None if context.library is None or kind is None else context.library.find(f"{day}/{name}")
        status = None if file is None else file.stat()
    except FileNotFoundError:  # deleted just now
        file = status = None
    except OSError as error:
        raise HTTPException(503, f"The clip cannot be read now: {error.strerror}") from error
    if file is None or status is None:
        raise HTTPException(404, "There is no such clip")
    headers = {"cache-control": "private, max-age=86400, immutable"} if kind != "application/json" else None
    filename = name if download else None
    return _Clip(file, media_type=kind, filename=filename, headers=headers, stat_result=status)


class _Clip(FileResponse):
    """File that may be deleted or become unreadable while it is sent: then the answer is cut off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file as far as it can be read."""
        try:
            await super().__call__(scope, receive, send)
        except OSError as error:
            log.warning("a clip could not be sent: %s", error.strerror)
