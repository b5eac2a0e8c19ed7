"""Events -> sound files in the recordings directory, within a budget of bytes.

Nothing is kept but a few seconds around the start of an event, and only if ``clips.enabled`` is set
and the label does not say ``clips: false``.
"""

from __future__ import annotations

import errno
import io
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from monitor.buffer import OverrunError, RingBuffer
from monitor.config import ClipsConfig
from monitor.types import Event, OutputError, Samples
from monitor.whole import write_whole

log = logging.getLogger(__name__)

_NAME = re.compile(r"\d{8}T\d{6}Z_[a-z0-9_-]+_[a-z0-9_-]+_[0-9A-HJKMNP-TV-Z]{26}\.flac")
"""Only files with such a name are ever deleted."""


class Clips:
    """Cut and write the clip of every event that starts; `deliver` runs in its own thread.

    Parameters
    ----------
    config : ClipsConfig
        Seconds before and after the onset; budget in megabytes.
    directory : Path
        Where clips go, one folder a day.
    buffers : mapping of str to RingBuffer
        By source name.
    """

    def __init__(self, config: ClipsConfig, directory: Path, buffers: Mapping[str, RingBuffer]) -> None:
        self.written = 0
        self.missed = 0
        self.trouble: str | None = None
        self._config = config
        self._directory = directory
        self._buffers = buffers

    def deliver(self, event: Event) -> None:
        """Wait for the tail of the clip, cut it, write it; an event without its clip is counted."""
        buffer = self._buffers[event.source]
        stop = event.start + round(self._config.after_seconds * buffer.rate)
        buffer.wait_for(stop)
        start = max(0, event.start - round(self._config.before_seconds * buffer.rate))
        try:
            samples = buffer.read(start, min(stop, buffer.stop))
        except OverrunError as error:
            self.missed += 1
            log.warning("no clip of %s: %s", event.id, error)
            return
        try:
            self._write(event, _flac(samples, buffer.rate))
        except OSError as error:
            self.missed += 1
            if self.trouble is None:  # once for each change: a full disk fails every clip
                log.error("%s: no clip can be written: %s", self._directory, error.strerror)  # noqa: TRY400
            self.trouble = error.strerror or str(error)
            return
        self.written += 1
        if self.trouble is not None:
            log.info("%s: clips can be written again", self._directory)
            self.trouble = None

    def _write(self, event: Event, content: bytes) -> None:
        path = self._directory / clip_path(event)
        path.parent.mkdir(exist_ok=True)
        free_space(self._directory, self._config.max_megabytes * 1_000_000 - len(content))
        write_whole(path, content)


def clip_path(event: Event) -> Path:
    """Path of an event's clip below the recordings directory: ``2026-11-23/20261123T120003Z_...``."""
    at = time.gmtime(event.started_at)
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', at)}_{event.source}_{event.label}_{event.id}.flac"
    return Path(time.strftime("%Y-%m-%d", at)) / name


def free_space(directory: Path, budget: int) -> int:
    """Delete the oldest clips until those left have at most ``budget`` bytes; return how many went.

    Names sort by time.  Other files in the directory are neither counted nor touched, and a clip
    that cannot be deleted does not stop the others.
    """
    clips = sorted((path for path in directory.glob("*/*.flac") if _NAME.fullmatch(path.name)), reverse=True)
    kept, deleted = 0, 0
    for path in clips:
        kept += path.stat().st_size
        if kept <= budget:
            continue
        try:
            path.unlink()
            deleted += 1
        except OSError as error:
            log.warning("%s: cannot be deleted: %s", path, error.strerror)
    if deleted:
        log.info("%s: %d oldest clips deleted to stay within the budget", directory, deleted)
    return deleted


def make_writable(directory: Path, key: str) -> None:
    """Make a directory and see that files can be made in it.

    A full disk is only logged: it may have room again, and the monitor is needed all the same.

    Raises
    ------
    OutputError
        That names the directory, the configuration key and the reason.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_bytes(b"clap-monitor")
        probe.unlink()
    except OSError as error:
        why = error.strerror or error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            log.error("%s: nothing can be kept: %s", directory, why)  # noqa: TRY400
            return
        raise OutputError(
            f"{directory}: cannot be written: {why}; set `{key}` to a directory that can"
        ) from error


def _flac(samples: Samples, rate: int) -> bytes:
    """Encode in memory, so that a full disk fails in one write of ours and nowhere else."""
    content = io.BytesIO()
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    soundfile.write(content, np.clip(finite, -1.0, 1.0), rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()
