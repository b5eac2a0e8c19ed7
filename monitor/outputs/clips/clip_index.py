"""Clip index: what receives the outcome of every clip; the event store is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.types import ClipOutcome, Event


class ClipIndex(Protocol):
    """Receiver of the outcomes of clips."""

    def await_clips(self) -> None:
        """Stay open until `clips_done`."""

    def on_clip_outcome(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        """Receive the outcome of a clip, with its path if there is one."""

    def on_clips_found(self, found: Sequence[tuple[str, str, Event | None]]) -> None:
        """Receive all clips at the start: path, identifier of the event, and the event if known."""

    def clips_done(self) -> None:
        """No more outcomes come."""
