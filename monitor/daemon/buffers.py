"""Ring buffers of all sources: how much audio of each stays in memory."""

from __future__ import annotations

import threading

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.windows import PATIENCE_SECONDS
from monitor.config import Config, SourceConfig
from monitor.detection.engine import Engine

RING_SECONDS = 15
"""Audio of each source kept in memory."""

LONG_RING_SECONDS = 60
"""The same with clips, or with a replay at full speed."""

CLIP_LOOKBACK_SECONDS = 50
"""Audio behind the analysis that a clip may still read."""


def make_buffers(config: Config, engine: Engine) -> dict[str, RingBuffer]:
    """Return the ring buffer of each source by its name; all share one condition."""
    due = threading.Condition()
    long = config.clips.enabled or any(map(_is_fast_replay, config.sources))
    capacity = max((LONG_RING_SECONDS if long else RING_SECONDS) * engine.rate, 2 * engine.length)
    # A clip looks back; the rest is how far a replayed file may be ahead of the analysis.
    behind = max(0, min(CLIP_LOOKBACK_SECONDS * engine.rate, capacity - 3 * engine.length))
    return {
        source.name: RingBuffer(
            capacity,
            engine.rate,
            exact=None if _is_fast_replay(source) else _exact(engine, source.name),
            due=due,
            lossless=_is_fast_replay(source),
            behind=behind if config.clips.enabled else 0,
        )
        for source in config.sources
    }


def _exact(engine: Engine, source: str) -> int:
    """Return how many of the newest samples windows are read from: a reader is at most so late."""
    late = max(2 * engine.hop_of(source), round(PATIENCE_SECONDS * engine.rate))
    return engine.length + late + engine.rate


def _is_fast_replay(source: SourceConfig) -> bool:
    """Return whether a source waits for the analysis, so that no window of it is ever late."""
    return not source.live and source.pace == "fast"
