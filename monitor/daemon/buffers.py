"""Ring buffers of all sources: how much audio of each stays in memory."""

from __future__ import annotations

import threading

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.windows import PATIENCE_SECONDS
from monitor.config import Config, SourceConfig
from monitor.detection.engine import Engine

RING_SECONDS = 15
"""Audio of each source kept in memory."""

CLIP_RING_SECONDS = 56
"""The same with clips: the longest has 45 s, and may have to wait for others."""

REPLAY_RING_SECONDS = 60
"""The same with a replay at full speed."""

CLIP_LOOKBACK_SECONDS = 50
"""Audio behind the analysis that a clip may still read."""


def make_buffers(config: Config, engine: Engine) -> dict[str, RingBuffer]:
    """Return the ring buffer of each source by its name; all share one condition."""
    due = threading.Condition()
    return {source.name: _buffer(source, config, engine, due) for source in config.sources}


def _buffer(source: SourceConfig, config: Config, engine: Engine, due: threading.Condition) -> RingBuffer:
    waits, clips = _is_fast_replay(source), config.clips.enabled
    seconds = REPLAY_RING_SECONDS if waits else CLIP_RING_SECONDS if clips else RING_SECONDS
    capacity = max(seconds * engine.rate, 2 * engine.length)
    # A clip looks back; the rest is how far a replayed file may be ahead of the analysis.
    behind = max(0, min(CLIP_LOOKBACK_SECONDS * engine.rate, capacity - 3 * engine.length))
    return RingBuffer(
        capacity,
        engine.rate,
        exact=None if waits else _exact(engine, source.name),
        due=due,
        lossless=waits,
        behind=behind if clips else 0,
    )


def _exact(engine: Engine, source: str) -> int:
    """Return how many of the newest samples windows are read from: a reader is at most so late."""
    late = max(2 * engine.hop_of(source), round(PATIENCE_SECONDS * engine.rate))
    return engine.length + late + engine.rate


def _is_fast_replay(source: SourceConfig) -> bool:
    """Return whether a source waits for the analysis, so that no window of it is ever late."""
    return not source.live and source.pace == "fast"
