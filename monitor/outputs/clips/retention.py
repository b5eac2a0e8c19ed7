"""Clip retention: chooses which clips must be deleted, and why; `library` deletes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.config import ClipsConfig

MEGABYTE = 1_000_000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class StoredClip:
    """One clip with the files beside it."""

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


def clips_to_delete(
    clips: Sequence[StoredClip], config: ClipsConfig, *, now: float | None, free: int, need: int = 0
) -> list[tuple[StoredClip, str]]:
    """Return the clips that must be deleted, oldest first, each with the reason.

    Locked clips stay.  The newest clips of each label stay as well, but for free space: then they are
    deleted last, because a full disk stops more than clips.

    Without ``now``, in Unix seconds, nothing is deleted for its age.  ``free`` bytes are left on the disk,
    and ``need`` bytes will be written.
    """
    ordered = sorted((clip for clip in clips if not clip.locked), key=lambda clip: (clip.at, clip.path))
    total = need + sum(clip.bytes for clip in clips)
    oldest = -math.inf if now is None else now - config.keep_days * _DAY
    newest = _newest(ordered, config.keep_per_label)
    deleted: dict[str, tuple[StoredClip, str]] = {}

    def delete(clip: StoredClip, reason: str) -> None:
        nonlocal total, free
        deleted[clip.path] = clip, reason
        total -= clip.bytes
        free += clip.bytes

    for clip in ordered:
        if clip.path in newest:
            continue
        if clip.at < oldest:
            delete(clip, f"older than {config.keep_days:g} days")
        elif total > config.max_megabytes * MEGABYTE:
            delete(clip, f"more than {config.max_megabytes} MB")
    for clip in [*(c for c in ordered if c.path not in newest), *(c for c in ordered if c.path in newest)]:
        if free - need >= config.free_megabytes * MEGABYTE:
            break
        if clip.path not in deleted:
            delete(clip, f"less than {config.free_megabytes} MB free")
    return sorted(deleted.values(), key=lambda each: (each[0].at, each[0].path))


def _newest(ordered: Sequence[StoredClip], count: int) -> set[str]:
    """Return the paths of the newest clips of each label."""
    counts: Counter[str] = Counter()
    newest = set()
    for clip in reversed(ordered):
        counts[clip.label] += 1
        if counts[clip.label] <= count:
            newest.add(clip.path)
    return newest
