"""What the page may see and change of the monitor; the daemon makes it, the routes use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from monitor.detection.control import Control
from monitor.detection.prompt_preview import PromptPreview
from monitor.outputs.clips import ClipLibrary
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.request_faults import RequestFaults
from monitor.outputs.store import Store, StoreReader
from monitor.outputs.web.auth import Access
from monitor.outputs.web.event_stream import Abort


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything behind the routes; each part may be asked from any thread."""

    access: Access
    abort: Abort
    control: Control
    broadcast: Broadcast
    prompt_preview: PromptPreview
    snapshot: Callable[[], Mapping[str, object]]
    """What every part counts."""
    hop_seconds: float
    reader: StoreReader | None = None
    store: Store | None = None
    library: ClipLibrary | None = None
    prefix: str = ""
    metrics: Callable[[], bytes] | None = None
    """Everything that is counted, for Prometheus."""
    faults: RequestFaults = field(default_factory=RequestFaults)
    """What failed in what was asked for."""
    counts: Callable[[], Mapping[str, int]] = dict
    """What the web server counts."""


def _context(request: HTTPConnection) -> AppContext:
    context: AppContext = request.app.state.context
    return context


Context = Annotated[AppContext, Depends(_context)]
