"""Captured audio: samples on their way from a device, stream or file to the blocks of a source."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.types import Samples


@dataclass(frozen=True, slots=True, eq=False)
class CapturedAudio:
    """Audio captured in one go, at its own rate, and what was lost before it."""

    samples: Samples
    """Shape (n,), mono, in [-1, 1]; before the downmix, shape (n, channels)."""
    rate: int
    """Hz."""
    ended_at: float = 0.0
    """Unix seconds when the last sample was captured; 0 if that is not known yet."""
    gap: bool = False
    """Audio is missing just before this."""
    lost: int = 0
    """Number of missing samples, as far as it is known."""
    overflows: int = 0
    """Times the driver or the queue behind it was full."""
    rate_confirmed: bool = False
    """The device has been seen to deliver as many samples per second as it claims."""
