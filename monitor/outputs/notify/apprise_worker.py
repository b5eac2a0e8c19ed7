"""Carries one message to one address through Apprise; runs as a process of its own.

    python -m monitor.outputs.notify.apprise_worker < letter.json

So a service that hangs is ended like any other program, its libraries take memory only while something is
told, and what they log, which may hold the address, goes nowhere.  The letter holds ``url`` and, unless the
address is only to be looked at, ``title``, ``body``, ``kind`` and ``clip``.  The answer is one JSON object:
``trouble`` is null, or why nothing was delivered, without anything of the address in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
from contextlib import suppress
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyType

from monitor.outputs.notify.send import NOT_UNDERSTOOD
from monitor.system.boundary import boundary
from monitor.types import OutputError

_SHORTEST = 4
"""Letters of a part of an address that may be a secret; less hides nothing, and would hide every word."""

_WIDTH = 200

_MOST_KEPT = 20
"""Troubles that Apprise logs about one message; of more the first are kept."""

_MOST_BYTES = 512 * 1024 * 1024
"""Of memory: a service may answer without end."""


class _Listener(logging.Handler):
    """Keeps what Apprise says of its troubles."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.said) < _MOST_KEPT:
            self.said.append(record.getMessage()[: 10 * _WIDTH])


def deliver(letter: dict[str, str | None]) -> str | None:
    """Deliver a letter; return why that failed, None if it did not."""
    listener = _Listener()
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(listener)
    url = letter["url"] or ""
    service = Apprise(asset=AppriseAsset(app_id="clap-monitor", app_desc="Sound monitor", async_mode=False))
    if not service.add(url):
        return NOT_UNDERSTOOD
    if letter.get("body") is None:
        return None
    delivered = service.notify(
        title=letter["title"] or "",
        body=letter["body"] or "",
        notify_type=NotifyType(letter["kind"]),
        attach=letter["clip"],
    )
    return None if delivered else redacted(" ".join(listener.said) or "not delivered, without a reason", url)


def redacted(text: str, url: str) -> str:
    """Take every part of an address out of a text, and shorten it.

    Parameters
    ----------
    text : str
    url : str
        All of it but the scheme may be secret: user, host, path, query.
    """
    rest = url.partition("://")[2]
    parts = {part for form in (rest, unquote(rest)) for part in re.split(r"[^\w]+|_", form)}
    parts |= {part for form in (rest, unquote(rest)) for part in re.split(r"[/:@?&=#]+", form)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST:
            text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return "".join(c if c.isprintable() else " " for c in text)[:_WIDTH]


def main() -> None:
    """Read the letter, deliver it, answer."""
    with suppress(PermissionError):  # the sandbox of the unit forbids it
        os.nice(10)  # hearing comes first
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
    letter = json.load(sys.stdin)
    try:
        with boundary(OutputError, "Apprise failed"):
            trouble = deliver(letter)
    except OutputError as error:
        trouble = redacted(str(error), letter["url"] or "")
    # Not as escapes: of a long answer only the end is read.
    sys.stdout.buffer.write(
        json.dumps({"trouble": trouble}, ensure_ascii=False).encode(errors="replace") + b"\n"
    )
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
