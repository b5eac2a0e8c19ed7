"""Example learner: examples from the newest audio of the running monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from monitor.detection.engine import Engine
from monitor.detection.example_stretch import loudest_stretch, window_levels
from monitor.detection.examples import LONGEST_ORIGIN, Examples
from monitor.detection.quantised import quantised
from monitor.detection.recent_embeddings import RecentEmbeddings, RecentWindow
from monitor.types import ConfigError

Past = Callable[[str, float, float], Sequence[RecentWindow]]
"""Source, and two times in Unix seconds, to the windows that ended between them, oldest first."""


class ExampleLearner:
    """Turns stretches of the past into examples; from any thread.

    Parameters
    ----------
    engine : Engine
    recent : RecentEmbeddings
    past : callable
        Finds windows that are no longer recent; by default none.
    now : callable
        Unix seconds.
    """

    def __init__(
        self,
        engine: Engine,
        recent: RecentEmbeddings,
        *,
        past: Past = lambda _source, _since, _until: (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._recent = recent
        self._past = past
        self._now = now

    def newest(self, label: str, source: str, seconds: float) -> Examples:
        """Return the loudest stretch of the newest seconds of a source as one example.

        Raises
        ------
        ConfigError
            No window was scored in them.
        """
        now = self._now()
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        return self.between(label, source, (now - seconds, now), f"{source} {at}")

    def between(self, label: str, source: str, times: tuple[float, float], origin: str) -> Examples:
        """Return the loudest stretch of a source between two times as one example.

        Parameters
        ----------
        label : str
            Its identifier.
        source : str
        times : tuple of float
            Unix seconds of the beginning and the end.
        origin : str
            What the example is called.

        Raises
        ------
        ConfigError
            No window of that time is known.
        """
        since, until = times
        seconds = self._engine.length / self._engine.rate
        hop_seconds = self._engine.hop_of(source) / self._engine.rate
        # Windows that lie mostly inside hold the sound; what has just begun gets a window of its own.
        first, last = since + seconds / 2, max(until, since + seconds) + seconds / 2
        windows = [each for each in self._recent.windows(source) if first <= each.ended_at <= last]
        if not windows:
            windows = list(self._past(source, first, last))
        if not windows:
            raise ConfigError(
                f"source {source}: the monitor no longer has that moment: teach {label} from a sound file, "
                "or record the sound now"
            )
        levels = np.array([each.level_dbfs for each in windows], dtype=np.float32)
        levels = window_levels(levels, max(1, round(seconds / hop_seconds)))
        example = loudest_stretch(np.stack([each.embedding for each in windows]), levels)
        model = self._engine.model
        return Examples(label, model.identity, quantised(example)[None], (origin[:LONGEST_ORIGIN],))


def together(parts: Sequence[Examples]) -> Examples:
    """Return examples of one label and checkpoint as one value."""
    rows = np.concatenate([part.rows for part in parts])
    origins = tuple(origin for part in parts for origin in part.origins)
    return Examples(parts[0].label, parts[0].identity, rows, origins)
