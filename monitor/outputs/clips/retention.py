"""Which clips must go, and why; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.config import ClipsConfig

MEGABYTE = 1_000_000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Kept:
    """One clip with what is beside it."""

    path: str
    """Of the sound file, below the recordings."""
    event_id: str
    source: str
    label: str
    at: float
    """Unix seconds of the onset."""
    bytes: int
    """Of all its files."""
    locked: bool = False


def doomed(
    clips: Sequence[Kept], config: ClipsConfig, *, now: float | None, free: int, need: int = 0
) -> list[tuple[Kept, str]]:
    """Return the clips that must go, oldest first, each with the reason.

    Never one that is locked, nor, for age and size, one of the newest of its label.  For free space these go
    as well, last: a full disk stops more than clips.

    Parameters
    ----------
    clips : sequence of Kept
    config : ClipsConfig
    now : float or None
        Unix seconds; None deletes nothing for its age.
    free : int
        Bytes left on the disk.
    need : int
        Bytes about to be written.
    """
    ordered = sorted((clip for clip in clips if not clip.locked), key=lambda clip: (clip.at, clip.path))
    total = need + sum(clip.bytes for clip in clips)
    oldest = -math.inf if now is None else now - config.keep_days * _DAY
    minimum = _newest(ordered, config.keep_per_label)
    gone: dict[str, tuple[Kept, str]] = {}

    def let_go(clip: Kept, reason: str) -> None:
        nonlocal total, free
        gone[clip.path] = clip, reason
        total -= clip.bytes
        free += clip.bytes

    for clip in ordered:
        if clip.path in minimum:
            continue
        if clip.at < oldest:
            let_go(clip, f"older than {config.keep_days:g} days")
        elif total > config.max_megabytes * MEGABYTE:
            let_go(clip, f"more than {config.max_megabytes} MB")
    for clip in [*(c for c in ordered if c.path not in minimum), *(c for c in ordered if c.path in minimum)]:
        if free - need >= config.free_megabytes * MEGABYTE:
            break
        if clip.path not in gone:
            let_go(clip, f"less than {config.free_megabytes} MB free")
    return sorted(gone.values(), key=lambda each: (each[0].at, each[0].path))


def _newest(ordered: Sequence[Kept], count: int) -> set[str]:
    """Return the paths of the newest clips of each label."""
    seen: Counter[str] = Counter()
    newest = set()
    for clip in reversed(ordered):
        seen[clip.label] += 1
        if seen[clip.label] <= count:
            newest.add(clip.path)
    return newest
