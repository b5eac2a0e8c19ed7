"""Queries of the memory of a running monitor; each may be given up before any segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitor.detection.engine import Engine
from monitor.detection.prototypes import Directions
from monitor.memory.reader import MemoryReader, Span
from monitor.memory.search import Moment, search

Check = Callable[[], None]
"""Raises to give up."""


@dataclass(frozen=True, slots=True)
class Period:
    """What is looked at."""

    since: float
    """Unix seconds of the end of the first window."""
    until: float
    source: str | None = None
    """None: every source of which something is kept."""


class MemoryQueries:
    """Queries from any thread.

    Parameters
    ----------
    state : Path
        The state directory.
    engine : Engine
        Its checkpoint, calibration and hops.
    """

    def __init__(self, state: Path, engine: Engine) -> None:
        self._reader = MemoryReader(state, engine.model.identity)
        self._engine = engine

    def spans(self) -> dict[str, Span]:
        """Return what is kept of each source."""
        reader = self._reader
        return {source: span for source in reader.sources if (span := reader.span(source)) is not None}

    @property
    def others(self) -> int:
        """Number of other checkpoints whose embeddings are kept; they mean something else."""
        return len(self._reader.others)

    def search(self, direction: Directions, period: Period, top: int, check: Check) -> list[Moment]:
        """Return the moments that fit a direction best, as `monitor.memory.search.search`.

        Parameters
        ----------
        direction : Directions
            Of one vector.
        period : Period
        top : int
            Most moments.
        check : callable

        Raises
        ------
        MemoryFormatError
            A segment cannot be read, or was deleted meanwhile.
        """
        reader = self._reader.checked(check)
        sources = reader.sources if period.source is None else (period.source,)
        return search(reader, direction, sources, since=period.since, until=period.until, top=top)
