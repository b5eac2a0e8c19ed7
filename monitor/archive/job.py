"""Job: the settings that a scanning process receives, and the checkpoint that it then loads."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.archive.tables import Origin
from monitor.config import Config

GPU_FILES, CPU_FILES = 8, 4
"""Recordings that a process scans at once on a GPU and on a processor, their windows in batches.

On a processor it is one if batches are no faster, as with large checkpoints, or not exact."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process needs to know; it is sent there."""

    config: Config
    """The labels in force among it."""
    zone: str | None = None
    """Name of the time zone of names that state none."""
    embeddings: bool = False
    """Whether to keep them."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a process has loaded."""

    origin: Origin
    dimension: int
    files_at_once: int
    """Recordings that it scans at once."""
    on_processor: bool
    """Whether the checkpoint runs there, one process for each core, and not on a GPU."""
