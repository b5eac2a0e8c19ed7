"""Ingress of Home Assistant: requests that its Supervisor passes on for a user who is logged in there.

The browser asks Home Assistant below ``/api/hassio_ingress/TOKEN``, and this path, which the Supervisor
removes, arrives in a header.  Whoever can open a connection can send the header too, so it counts only from
the address of the Supervisor, which no other app can have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitor.config import WebConfig

_HEADER = "x-ingress-path"
_PATH = re.compile(r"/api/hassio_ingress/[A-Za-z0-9_-]{1,200}", re.ASCII)


def ingress_path(web: WebConfig, peer: str, headers: Mapping[str, str]) -> str | None:
    """Return the path below which the browser sees the page; None if the request is not by ingress.

    ``peer`` is the IP address of the connection.
    """
    path = headers.get(_HEADER, "")
    by_supervisor = web.ingress and peer.removeprefix("::ffff:") == web.ingress_address
    return path if by_supervisor and _PATH.fullmatch(path) else None
