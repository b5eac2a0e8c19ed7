"""Carries one message to one address through Apprise; runs as a process of its own.

    python -m monitor.outputs.courier < letter.json

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
import sys
from contextlib import suppress
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyType

from monitor.outputs.post import NOT_UNDERSTOOD

_SHORTEST = 4
"""Letters of a part of an address that may be a secret; less hides nothing, and would hide every word."""

_WIDTH = 200


class _Listener(logging.Handler):
    """Keeps what Apprise says of its troubles."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


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
    trouble = deliver(json.load(sys.stdin))
    sys.stdout.write(json.dumps({"trouble": trouble}) + "\n")


if __name__ == "__main__":
    main()
