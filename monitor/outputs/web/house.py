"""What the page may see and change of the monitor; the daemon makes it, the routes use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from monitor.outputs.live import Live
from monitor.outputs.web.access import Access
from monitor.outputs.web.stream import Abort


@dataclass(frozen=True, slots=True)
class House:
    """Everything behind the routes; each part may be asked from any thread."""

    node: str
    model: str
    live: Live
    access: Access
    status: Callable[[], Mapping[str, object]]
    """What every part counts, and what is wrong."""
    hello: Callable[[], Mapping[str, object]]
    """Labels and sources, which the news refer to."""
    abort: Abort
    prefix: str = ""
    metrics: Callable[[], bytes] | None = None
    """Everything that is counted, for Prometheus."""

    def greeting(self) -> dict[str, object]:
        """Return the first news of a stream: what the others refer to."""
        return {"spectrogram": self.live.picture, **self.hello()}


def _house(request: HTTPConnection) -> House:
    house: House = request.app.state.house
    return house


TheHouse = Annotated[House, Depends(_house)]
