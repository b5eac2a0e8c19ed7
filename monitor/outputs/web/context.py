"""Context of the routes: the parts of the monitor that the page shows and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from monitor.detection.control import Control
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.prompt_preview import PromptPreview
from monitor.memory.memory_queries import MemoryQueries
from monitor.outputs.clips import ClipLibrary
from monitor.outputs.faults import Faults
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.live.listeners import Listeners
from monitor.outputs.store import Store, StoreReader
from monitor.outputs.web.auth import Access
from monitor.outputs.web.event_stream import Abort
from monitor.outputs.web.long_requests import LongRequests
from monitor.outputs.web.set_up_actions import SetUpActions


@dataclass(frozen=True, slots=True)
class AppContext:
    """Parts of the monitor; each may be used from any thread."""

    access: Access
    abort: Abort
    control: Control
    broadcast: Broadcast
    prompt_preview: PromptPreview
    learner: ExampleLearner
    listeners: Listeners
    snapshot: Callable[[], Mapping[str, object]]
    """Returns what `clap-monitor status` shows."""
    hop_seconds: float
    reader: StoreReader | None = None
    store: Store | None = None
    library: ClipLibrary | None = None
    memory: MemoryQueries | None = None
    """None: nothing is kept."""
    prefix: str = ""
    metrics: Callable[[], bytes] | None = None
    """Returns the metrics for Prometheus."""
    faults: Faults = field(default_factory=Faults)
    """Bugs in clap-monitor in requests."""
    long_requests: LongRequests = field(default_factory=LongRequests)
    unsent: Callable[[tuple[str, int]], int] = lambda _: 0
    """Returns the bytes that wait for a client, given by address and port."""
    set_up: SetUpActions | None = None
    """None: there is no configuration file."""
    counts: Callable[[], Mapping[str, int]] = dict
    """Returns the counts of the web server."""


def _context(request: HTTPConnection) -> AppContext:
    context: AppContext = request.app.state.context
    return context


Context = Annotated[AppContext, Depends(_context)]
