"""Boundary: turns any exception that outside input causes in a library into one error of ours.

Bad input from a network, a file or a user is refused with one line, whatever it is; only a bug of ours
ends the process.  Every edge to the outside (a decoder, a parser, a client library) has one place that
calls into it, within `boundary`.  Libraries raise undocumented exceptions: PyAV an `IndexError` for a
stream that gained a track, ``json`` a `RecursionError`, pydantic a `UnicodeEncodeError`.  So a list of
exception types is never complete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitor.types import MonitorError

log = logging.getLogger(__name__)

_LONGEST = 200
"""Characters of a library's own message that are kept."""


@contextmanager
def boundary(refuse: Callable[[str], Exception], where: str) -> Iterator[None]:
    """Raise the edge's own error in place of any exception but a `MonitorError`.

    Keep the block small: it should hold only the call into the library, so that bugs of ours still end the
    process.  Handle documented failures inside, with a message that says what to do.  ``where`` starts the
    message: the file, address or topic that was read.

    Raises
    ------
    Exception
        The result of ``refuse("WHERE: reason")``; a `MonitorError` raised inside passes unchanged.
    """
    try:
        yield
    except MonitorError:
        raise
    except Exception as error:
        log.debug("%s: %s", where, type(error).__name__, exc_info=True)
        raise refuse(f"{where}: {explain(error)}") from error


def explain(error: BaseException) -> str:
    """Return one printable line that explains an exception to the user who gave the input."""
    match error:
        case RecursionError():
            return "is nested too deeply"
        case MemoryError():
            return "needs more memory than there is"
        case UnicodeEncodeError() | UnicodeDecodeError():
            return f"holds text that is not valid Unicode ({error.reason})"
        case OSError() if error.strerror:
            return error.strerror
    words = " ".join(printable(str(error)).split())[:_LONGEST]
    if words and type(error).__module__.startswith("monitor."):
        return words  # our own errors explain themselves
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def printable(text: str) -> str:
    """Replace line breaks, control characters and lone surrogates, which must not reach a log or JSON."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)
