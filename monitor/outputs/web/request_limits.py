"""Request limits: the size of the request line, the headers and the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_BODY = 64 * 1024
"""Bytes."""

_MAX_HEADERS = 64
_MAX_HEAD = 16 * 1024
"""Bytes of all header names and values."""
_MAX_TARGET = 4096
"""Bytes of the path and the query."""


def oversize(scope: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the status and the message that refuse a request line or headers beyond their limits."""
    if len(scope["raw_path"]) + len(scope["query_string"]) > _MAX_TARGET:
        return 414, f"The address has more than {_MAX_TARGET} bytes"
    headers = scope["headers"]
    if len(headers) > _MAX_HEADERS or sum(len(key) + len(value) for key, value in headers) > _MAX_HEAD:
        return 431, f"There are more than {_MAX_HEADERS} headers, or more than {_MAX_HEAD} bytes of them"
    return None
