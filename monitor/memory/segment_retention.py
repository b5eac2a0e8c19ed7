"""Memory retention: deletes the oldest segments, of all sources and checkpoints, to keep within limits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from monitor.config import MemoryConfig
from monitor.memory.labels_file import SUFFIX
from monitor.memory.memory_reader import DIRECTORY, pair_bytes
from monitor.memory.segment import HOUR_NS, INDEX, is_index, pair

_MEGABYTE = 1_000_000
_MARGIN_NS = 24 * HOUR_NS
"""The number of a labels file is when the labels changed, that of a segment when its audio was captured; of a
recording that is scored faster than it lasts, the first may be hours behind the second."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left after the oldest segments were deleted."""

    bytes: int
    enough_room: bool
    """The disk has as much free space as it must keep."""


def apply_limits(
    state: Path, config: MemoryConfig, *, in_use: Collection[Path], now: float | None, free: Callable[[], int]
) -> Kept:
    """Delete segments that are too old or too many.

    Parameters
    ----------
    state : Path
        The state directory.
    config : MemoryConfig
    in_use : collection of Path
        Indices that are being written; they stay.
    now : float or None
        Unix seconds; None deletes nothing for its age.
    free : callable
        Returns the free bytes of the disk.
    """
    root = state / DIRECTORY
    segments = sorted(filter(is_index, root.glob(f"*/*/*{INDEX}")), key=lambda path: path.stem)
    sizes = {path: pair_bytes(path) for path in segments}
    total = sum(sizes.values())
    oldest_ns = -1 if now is None else int((now - config.keep_days * 86_400) * 1e9) - HOUR_NS
    needed = config.free_megabytes * _MEGABYTE
    for path in segments:
        if path in in_use:
            continue
        too_old = int(path.stem) < oldest_ns
        if not too_old and total <= config.max_megabytes * _MEGABYTE and free() >= needed:
            break
        if all(
            map(_deleted, reversed(pair(path)))
        ):  # the index last: without it, nobody looks for the vectors
            total -= sizes.pop(path)
    for directory in root.glob("*"):
        _delete_labels_files(directory, {path for path in sizes if path.parents[1] == directory})
    return Kept(total, free() >= needed)


def _delete_labels_files(directory: Path, segments: Collection[Path]) -> None:
    """Delete labels files that no segment needs: all but the newest before the oldest segment."""
    files = sorted(directory.glob(f"*{SUFFIX}"))
    oldest = min((path.stem for path in segments), default=None)
    limit = None if oldest is None else int(oldest) - _MARGIN_NS
    before = [path for path in files if limit is None or int(path.name.removesuffix(SUFFIX)) <= limit]
    for path in before[:-1]:
        _deleted(path)
    if not segments:
        for source in directory.glob("*/"):
            with contextlib.suppress(OSError):  # not empty: a segment is being made
                source.rmdir()


def _deleted(path: Path) -> bool:
    """Delete a file; return False if it cannot be deleted: it may be a directory."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
