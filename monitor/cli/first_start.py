"""Configuration of a first start: the commented example, with the page for other machines behind a token.

A container has no terminal on which somebody could write a configuration first.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from monitor.config import example, marked
from monitor.system.atomic_file import write_atomic
from monitor.types import OutputError

TOKEN = "web_token"  # noqa: S105 - the name of the file, beside the configuration

_SERVED = (
    ("web:", "  enabled: false", "  enabled: true"),
    ("web:", "  host: 127.0.0.1", "  host: 0.0.0.0"),
    ("web:", "  #token_file: web_token", "  token_file: {token}"),
)
"""Lines of the example that are changed: the section, the line in it, and the line that replaces it."""


def write_first(path: Path) -> bool:
    """Write a configuration if there is none, and a token beside it; return whether it was written.

    Set-up in the page may rewrite the file until somebody edits it.  The token is written first, so that an
    interrupted start leaves nothing that cannot be used.  A token that is there is kept.

    Raises
    ------
    OutputError
        One of the two cannot be written.
    """
    token = path.absolute().with_name(TOKEN)
    try:
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        if not token.exists():
            write_atomic(token, f"{secrets.token_hex(24)}\n".encode(), durable=True)
        write_atomic(path, marked(first_configuration(token)).encode(), durable=True, mode=0o644)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; make its directory writable for user "
            f"{os.geteuid()}, or put a configuration there (`clap-monitor init -` prints one)"
        ) from error
    return True


def first_configuration(token: Path) -> str:
    """Return the example with the page at every address of the machine, and its token in a file."""
    text = example()
    for section, line, other in _SERVED:
        before, header, after = text.partition(f"\n{section}\n")
        text = before + header + after.replace(f"{line}\n", f"{other.format(token=token)}\n", 1)
    return text
