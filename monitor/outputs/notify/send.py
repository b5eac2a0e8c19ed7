"""One message, carried by a process of its own with a limit to its time: `apprise_worker`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

from monitor.system.boundary import printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.child_process import environment, run_child

NOT_UNDERSTOOD = "the address is none that Apprise understands"

Post: TypeAlias = Callable[[Mapping[str, str | None], Callable[[], float]], str | None]

_PASSED_ON = (
    *("PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)


def post(letter: Mapping[str, str | None], give_up_at: Callable[[], float]) -> str | None:
    """Have a letter delivered; return why it was not, None if it was.

    Parameters
    ----------
    letter : mapping of str to str or None
        ``url``, and with a ``body`` also ``title``, ``kind`` and ``clip``; without one, the address is only
        looked at.
    give_up_at : callable
        Returns the moment of the monotonic clock at which to give up; may come closer meanwhile.
    """
    # Nothing is imported from the directory in which the monitor runs.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "monitor.outputs.notify.apprise_worker"]
    try:
        ended = run_child(
            command, json.dumps(letter), environment=environment(also=_PASSED_ON), give_up_at=give_up_at
        )
    except OSError as error:
        return f"cannot be tried: {error.strerror}"
    if ended.code is None:
        return "no answer in time"
    try:
        answer = parse_json(ended.tail.splitlines()[-1])
        trouble = answer["trouble"]
    except (IndexError, DamagedError, TypeError, KeyError):  # whatever it said may hold the address
        return f"the courier ended with exit code {ended.code}"
    return None if trouble is None else printable(str(trouble))
