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


def is_oversized(scope: Mapping[str, Any]) -> bool:
    """Return whether the request line or the headers exceed their limits."""
    return _is_long(scope) or _has_many(scope)


def refuse_size(scope: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the status and the message that refuse an oversized request; None if it is not."""
    if _is_long(scope):
        return 414, f"The address has more than {_MAX_TARGET} bytes"
    if _has_many(scope):
        return 431, f"There are more than {_MAX_HEADERS} headers, or more than {_MAX_HEAD} bytes of them"
    return None


def _is_long(scope: Mapping[str, Any]) -> bool:
    return len(scope["raw_path"]) + len(scope["query_string"]) > _MAX_TARGET


def _has_many(scope: Mapping[str, Any]) -> bool:
    headers = scope["headers"]
    return len(headers) > _MAX_HEADERS or sum(len(k) + len(v) for k, v in headers) > _MAX_HEAD
