"""Limits of a request: how long its line, its headers and its body may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_BODY = 64 * 1024
"""Bytes."""

_MOST_HEADERS = 64
_MOST_HEAD = 16 * 1024
"""Bytes of all names and values of the headers."""
_LONGEST_TARGET = 4096
"""Bytes of the path and the query."""


def is_oversized(scope: Mapping[str, Any]) -> bool:
    """Tell whether the line or the headers of a request are longer than any that is meant well."""
    return _is_long(scope) or _has_many(scope)


def refuse_size(scope: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the status and the words that refuse what is too long; None if nothing is."""
    if _is_long(scope):
        return 414, f"The address has more than {_LONGEST_TARGET} bytes"
    if _has_many(scope):
        return 431, f"There are more than {_MOST_HEADERS} headers, or more than {_MOST_HEAD} bytes of them"
    return None


def _is_long(scope: Mapping[str, Any]) -> bool:
    return len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_TARGET


def _has_many(scope: Mapping[str, Any]) -> bool:
    headers = scope["headers"]
    return len(headers) > _MOST_HEADERS or sum(len(k) + len(v) for k, v in headers) > _MOST_HEAD
