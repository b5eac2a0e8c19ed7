"""Apprise worker: sends one notification to one address; runs as a process of its own.

    python -m monitor.outputs.notify.apprise_worker < request.json

So a service that hangs can be killed like any other program, the libraries take memory only while a
notification is sent, and their logs, which may contain the address, go nowhere.  The request is a JSON
object with ``url`` and, unless the address is only checked, ``title``, ``body``, ``kind`` and ``clip``.
The answer is a JSON object: ``trouble`` is null, or why nothing was delivered, without any part of the
address.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
from contextlib import suppress
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyType

from monitor.outputs.notify.send import UNKNOWN_ADDRESS
from monitor.system.boundary import boundary
from monitor.system.cpu import give_way
from monitor.types import OutputError

_MIN_SECRET = 4
"""Characters of a part of an address that may be a secret; shorter parts would hide ordinary words."""

_MAX_TEXT = 200
"""Characters of a reason."""

_MAX_LINES = 20
"""Log lines of Apprise that are kept."""

_MAX_BYTES = 512 * 1024 * 1024
"""Memory limit: a service may send an endless answer."""


class _LogLines(logging.Handler):
    """Keep what Apprise logs about problems."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < _MAX_LINES:
            self.lines.append(record.getMessage()[: 10 * _MAX_TEXT])


def deliver(request: dict[str, str | None]) -> str | None:
    """Deliver a notification; return the reason of a failure, None on success."""
    log_lines = _LogLines()
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(log_lines)
    url = request["url"] or ""
    service = Apprise(asset=AppriseAsset(app_id="clap-monitor", app_desc="Sound monitor", async_mode=False))
    if not service.add(url):
        return UNKNOWN_ADDRESS
    if request.get("body") is None:
        return None
    delivered = service.notify(
        title=request["title"] or "",
        body=request["body"] or "",
        notify_type=NotifyType(request["kind"]),
        attach=request["clip"],
    )
    if delivered:
        return None
    return redacted(" ".join(log_lines.lines) or "not delivered, and Apprise gives no reason", url)


def redacted(text: str, url: str) -> str:
    """Remove every part of an address from a text, and shorten it.

    Everything but the scheme may be secret: user, host, path, query.
    """
    rest = url.partition("://")[2]
    parts = {part for form in (rest, unquote(rest)) for part in re.split(r"[^\w]+|_", form)}
    parts |= {part for form in (rest, unquote(rest)) for part in re.split(r"[/:@?&=#]+", form)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _MIN_SECRET:
            text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_TEXT]


def main() -> None:
    """Read the request, deliver the notification, write the answer."""
    give_way()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
    request = json.load(sys.stdin)
    try:
        with boundary(OutputError, "Apprise failed"):
            trouble = deliver(request)
    except OutputError as error:
        trouble = redacted(str(error), request["url"] or "")
    # Not as escapes: only the end of a long answer is read.
    answer = json.dumps({"trouble": trouble}, ensure_ascii=False)
    sys.stdout.buffer.write(answer.encode(errors="replace") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
