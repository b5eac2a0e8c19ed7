"""What the page may see and change of the monitor; the daemon makes it, the routes use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection

from monitor.detection.control import Control
from monitor.detection.prompt_preview import PromptPreview
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.request_faults import RequestFaults
from monitor.outputs.store import Store, StoreReader
from monitor.outputs.web.auth import Access
from monitor.outputs.web.event_stream import Abort


class ClipLibrary(Protocol):
    """The clips, as far as the page needs them."""

    @property
    def locked(self) -> frozenset[str]:
        """Paths of those that are kept for good."""

    def find(self, path: str) -> Path | None:
        """Return where a clip is, or what is beside it; None if there is none of this path."""

    def lock(self, path: str, *, locked: bool) -> bool:
        """Keep a clip for good, or no longer; False if there is no such clip."""


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything behind the routes; each part may be asked from any thread."""

    access: Access
    abort: Abort
    control: Control
    live: Broadcast
    prompt_preview: PromptPreview
    snapshot: Callable[[], Mapping[str, object]]
    """What every part counts."""
    hop_seconds: float
    history: StoreReader | None = None
    store: Store | None = None
    shelf: ClipLibrary | None = None
    prefix: str = ""
    metrics: Callable[[], bytes] | None = None
    """Everything that is counted, for Prometheus."""
    faults: RequestFaults = field(default_factory=RequestFaults)
    """What failed in what was asked for."""
    counts: Callable[[], Mapping[str, int]] = dict
    """What the web server counts."""


def _house(request: HTTPConnection) -> AppContext:
    house: AppContext = request.app.state.house
    return house


TheHouse = Annotated[AppContext, Depends(_house)]
