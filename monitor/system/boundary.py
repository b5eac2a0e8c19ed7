"""Boundary: turns whatever outside input makes a library raise into one error of ours.

The rule: what comes from a network, a file or a person is refused with one line, whatever it is; only a
fault of ours ends the process.  Every edge to the outside (a decoder, a parser, a client library) has one
place that calls into it, within `boundary`.  Libraries raise what they do not document: PyAV an
`IndexError` from a stream that gained a track, ``json`` a `RecursionError`, pydantic a
`UnicodeEncodeError`.  So a list of exception types is never complete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitor.types import MonitorError

log = logging.getLogger(__name__)

_LONGEST = 200
"""Characters of a library's own message that are repeated."""


@contextmanager
def boundary(refuse: Callable[[str], Exception], where: str) -> Iterator[None]:
    """Raise the edge's own error in place of any exception but a `MonitorError`.

    Keep the block small: only the call into the library belongs in it, so that faults of ours still
    end the process.  Failures that the library does document are better handled inside, in words that
    say what to do.

    Parameters
    ----------
    refuse : callable
        The edge's own error, made from a message: `SourceError`, `ModelError`.
    where : str
        What was read, at the start of the message: a file, an address, a topic.

    Raises
    ------
    Exception
        What ``refuse`` makes of ``"WHERE: what happened"``; a `MonitorError` from within is passed on.
    """
    try:
        yield
    except MonitorError:
        raise
    except Exception as error:
        log.debug("%s: %s", where, type(error).__name__, exc_info=True)
        raise refuse(f"{where}: {explain(error)}") from error


def explain(error: BaseException) -> str:
    """Say in one printable line what an exception means to the person who gave the input."""
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
        return words  # of ours, which say what happened themselves
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def printable(text: str) -> str:
    """Replace line breaks, control characters and lone surrogates, which may not reach a log or JSON."""
    return "".join(character if character.isprintable() else "?" for character in text)
