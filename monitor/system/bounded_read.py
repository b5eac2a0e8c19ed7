"""Bounded reading of files and JSON: never more of either than is plausible.

A file may have been damaged, replaced or written by another program.  So its size is limited before it is
read, it must be a regular file (a FIFO would never end), and JSON may hold only what our own code can store
again: finite numbers, 64-bit integers, valid Unicode, moderate nesting.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any

from monitor.system.boundary import explain

DEEPEST = 64
"""Nested lists and mappings of a JSON document; ours have at most six."""

_LARGEST = 2**63 - 1
"""SQLite's largest integer."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_UNSIZED = 2**16
"""Bytes to read of a file that says it has none, as those of the kernel do."""

_DIGITS = 20
"""Characters of a 64-bit integer and its sign; longer text is not even converted."""


class DamagedError(ValueError):
    """A file or message is damaged; the text is the reason, to follow its name."""


def read_bytes(path: Path, most: int) -> bytes:
    """Return the whole content of a regular file; one of more than ``most`` bytes is refused, unread.

    Raises
    ------
    OSError
        It cannot be opened or read.
    DamagedError
        It is larger, or no regular file.
    """
    # Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # before `open`, which leaves the descriptor of a directory open
        os.close(descriptor)
        raise DamagedError("is a directory" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        content = file.read(min(most, max(status.st_size, _UNSIZED)) + 1)  # it reserves all of that first
    if len(content) > most:
        raise DamagedError(f"is larger than {most:,} bytes")
    return content


def read_text(path: Path, most: int) -> str:
    """Return the text of a file that a user may have written: UTF-8, with or without a byte order mark.

    Raises
    ------
    OSError
    DamagedError
        As `read_bytes`, or it is not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedError(f"byte {error.start} is not UTF-8 text") from None


def read_json(path: Path, most: int) -> Any:
    """Return the JSON document in a file.

    Raises
    ------
    OSError
    DamagedError
        As `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, most))


def parse_json(content: str | bytes, *, unique: bool = False) -> Any:
    """Return a JSON document that our own code can store again.

    ``unique`` refuses duplicate keys; otherwise the last one counts.

    Raises
    ------
    DamagedError
        It is not JSON, or holds NaN, an infinity, an integer beyond 64 bits, a lone surrogate, or lists
        and mappings nested more than `DEEPEST` levels.
    """
    pairs = _once if unique else None
    try:
        document = json.loads(
            content,
            parse_constant=_refuse,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=pairs,
        )
    except DamagedError:
        raise
    except json.JSONDecodeError as error:
        raise DamagedError(f"is not JSON: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise DamagedError(f"is not JSON: {explain(error)}") from None
    _check(document)
    return document


def _refuse(constant: str) -> Any:
    raise DamagedError(f"holds {constant}, which is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS or abs(number := int(digits)) > _LARGEST:
        raise DamagedError("holds an integer of more than 64 bits")
    return number


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise DamagedError("holds a number that is too large")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DamagedError("holds a key twice")
    return found


def _check(document: Any) -> None:
    """Check every part, level by level, so that no nesting can exhaust the stack."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise DamagedError(f"is nested more than {DEEPEST} levels deep")
        if any(_SURROGATE.search(text) for part in level for text in _texts(part)):
            raise DamagedError("holds half of a surrogate pair, which is not a character")
        level = [inside for part in level for inside in _inside(part)]


def _texts(part: Any) -> list[str]:
    if isinstance(part, dict):
        return list(part)
    return [part] if isinstance(part, str) else []


def _inside(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    return part if isinstance(part, list) else []
