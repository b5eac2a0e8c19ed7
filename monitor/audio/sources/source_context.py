"""Source context: what every source needs beside its configuration."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.blocks import BlockLengths


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
    lengths: BlockLengths = field(default_factory=BlockLengths)
    """Of the blocks of a microphone, a stream or a pipe, and of a recording in real time."""

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.status.name
