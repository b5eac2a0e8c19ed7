"""Source context: what every source needs beside its configuration."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from monitor.audio.source_status import SourceStatus

RESAMPLER_SECONDS = 0.04
"""Delay of a resampler of audio of 16 kHz or more [measured: 5 to 35 ms]."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """Surroundings of one source."""

    rate: int
    """Hz, of the blocks."""
    status: SourceStatus
    """Counters and offline state of the source, which it writes."""
    stop: threading.Event
    """Ends the iteration soon after it is set."""
    required: bool = False
    """A microphone or stream that delivers nothing at the start is an error, instead of being waited for."""
    block_seconds: float = 0.1
    """Length of the blocks of a stream, and of a recording in real time: a window waits for its last one, and
    each costs a thread that wakes up."""

    @property
    def first_block_seconds(self) -> float:
        """Length of the first block, also after a gap: windows then end with blocks; resamplers are late."""
        return self.block_seconds + RESAMPLER_SECONDS

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.status.name
