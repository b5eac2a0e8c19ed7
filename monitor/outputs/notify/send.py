"""Send a notification in a worker process with a time limit: see `apprise_worker`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

from monitor.system.boundary import printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.child_process import environment, run_child

UNKNOWN_ADDRESS = "Apprise does not recognize the address"

Send: TypeAlias = Callable[[Mapping[str, str | None], Callable[[], float]], str | None]

_ENVIRONMENT = (
    *("PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)


def send(request: Mapping[str, str | None], give_up_at: Callable[[], float]) -> str | None:
    """Send a notification; return the reason of a failure, None on success.

    A request has a ``url``, and with a ``body`` also ``title``, ``kind`` and ``clip``; without a body, the
    address is only checked.  ``give_up_at`` returns the monotonic time at which to give up, which may come
    closer meanwhile.
    """
    # With -P nothing is imported from the working directory of the monitor.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "monitor.outputs.notify.apprise_worker"]
    try:
        ended = run_child(
            command, json.dumps(request), environment=environment(also=_ENVIRONMENT), give_up_at=give_up_at
        )
    except OSError as error:
        return f"the Apprise worker cannot be started: {error.strerror}"
    if ended.code is None:
        return "no answer in time"
    try:
        answer = parse_json(ended.tail.splitlines()[-1])
        trouble = answer["trouble"]
    except (IndexError, DamagedError, TypeError, KeyError):  # the output may contain the address
        return f"the Apprise worker exited with code {ended.code}"
    return None if trouble is None else printable(str(trouble))
