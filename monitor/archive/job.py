"""Job: what a process is told before it scans recordings, and what it has loaded then."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.archive.tables import Origin
from monitor.config import Config

FILES_AT_ONCE = 8
"""Recordings that a GPU scans at once, their windows in batches.

On a processor it is one: a batch is no faster there with large checkpoints, and would give other last digits
than a window alone."""


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
