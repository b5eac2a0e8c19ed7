"""Queries of the memory of a running monitor; each may be given up before any segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.config import Config, LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.alarm_clusters import Heard
from monitor.detection.engine import Engine
from monitor.detection.prototypes import Directions, Prototypes
from monitor.memory.heard_labels import heard_labels
from monitor.memory.label_confusion import AlikePrompts, alike_prompts, moments
from monitor.memory.memory_reader import MemoryReader, Span
from monitor.memory.replay_diff import Firing
from monitor.memory.search import Moment, search
from monitor.memory.similar import direction_of, embeddings_between
from monitor.memory.would_fire import watchlist_at, would_fire
from monitor.types import Embeddings, MonitorError

Check = Callable[[], None]
"""Raises to give up."""


Build = Callable[[Sequence[LabelConfig]], Prototypes]
"""Embeds the prompts of labels."""

_AT_ONCE = 4
"""Labels: their logits of a week take 10 MB."""


class NotRememberedError(MonitorError):
    """Nothing is kept of the time that a query is about."""


@dataclass(frozen=True, slots=True)
class Period:
    """What is looked at."""

    since: float
    """Unix seconds of the end of the first window."""
    until: float
    source: str | None = None
    """None: every source that has a memory."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time at a source."""

    source: str
    started_at: float
    """Unix seconds."""
    ended_at: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """Events that labels would have started."""

    since: dict[str, float]
    """Unix seconds from which on each source was looked at: the period, as far as something is kept of it."""
    firings: tuple[Firing, ...]


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

    def similar(self, stretch: Stretch, period: Period, top: int, check: Check) -> list[Moment]:
        """Return the moments that sound like a stretch of time, best first; it is one of them.

        Parameters
        ----------
        stretch : Stretch
        period, top, check
            As in `search`.

        Raises
        ------
        NotRememberedError
            There is no window in the stretch.
        MemoryFormatError
            As in `search`.
        """
        reader = self._reader.checked(check)
        rows = embeddings_between(reader, stretch.source, stretch.started_at, stretch.ended_at)
        if rows is None:
            raise NotRememberedError(
                f"nothing is remembered of that moment at {stretch.source}: it is too long ago, "
                "or of another checkpoint"
            )
        return self.search(direction_of(rows, self._engine.cohort_norm), period, top, check)

    def replay(
        self, config: Config, labels: ActiveLabels, prototypes: Prototypes, period: Period, check: Check
    ) -> Replayed:
        """Return the events that labels would have started.

        Parameters
        ----------
        config : Config
            Its sources and their quiet hours count.
        labels : ActiveLabels
        prototypes : Prototypes
            Of the enabled labels.
        period : Period
        check : callable

        Raises
        ------
        MemoryFormatError
            As in `search`.
        """
        reader = self._reader.checked(check)
        since: dict[str, float] = {}
        firings: list[Firing] = []
        for source in labels.sources if period.source is None else (period.source,):
            span = reader.span(source)
            if span is None or not labels.at(source):
                continue
            since[source] = max(period.since, span.since)
            watchlist = watchlist_at(source, config, self._engine, labels, prototypes)
            firings += would_fire(
                reader, self._engine, source, watchlist, since=period.since, until=period.until
            )
        return Replayed(since, tuple(sorted(firings)))

    def heard(
        self, config: Config, labels: ActiveLabels, build: Build, period: Period, check: Check
    ) -> Iterator[tuple[str, dict[str, Heard]]]:
        """Yield each source that has a memory, and what its labels would have done, by label.

        Parameters
        ----------
        config, labels
            As in `replay`.
        build : callable
        period : Period
            Until now: its end does not count.
        check : callable

        Raises
        ------
        ModelError
            Prompts cannot be embedded.
        MemoryFormatError
            As in `search`.
        """
        reader = self._reader.checked(check)
        for source in labels.sources if period.source is None else (period.source,):
            known = labels.at(source) if reader.span(source) is not None else ()
            found: dict[str, Heard] = {}
            for first in range(0, len(known), _AT_ONCE):
                some = known[first : first + _AT_ONCE]
                prototypes = build(some)
                every = watchlist_at(source, config, self._engine, labels, prototypes).rules
                rules = [rule for rule in every if rule.label in prototypes.labels]
                chunks = reader.chunks(source, period.since)
                found |= heard_labels(chunks, prototypes, rules, self._engine.calibration)
            if found:
                yield source, found

    def alike(
        self, prompts: Sequence[tuple[str, str]], vectors: Embeddings, period: Period, check: Check
    ) -> Iterator[AlikePrompts]:
        """Yield prompts of different labels that cannot be told apart at a source.

        Parameters
        ----------
        prompts : sequence of (label, prompt)
        vectors : array, shape (prompts, d)
            Their embeddings.
        period, check
            As in `heard`.

        Raises
        ------
        MemoryFormatError
            As in `search`.
        """
        reader = self._reader.checked(check)
        for source in reader.sources if period.source is None else (period.source,):
            known = moments(reader.chunks(source, period.since))
            if known is not None:
                yield from alike_prompts(source, known, prompts, vectors)

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self._engine.length / self._engine.rate
