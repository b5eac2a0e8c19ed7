"""Clip library: the clips in the recordings directory: writes them as a whole, and deletes old ones.

The sound file is written last and is the clip: files without one were left by a process that was killed, and
the next scan deletes them.  Files with other names are never touched.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitor.config import ClipsConfig, Config
from monitor.outputs import Output
from monitor.outputs.clips import metadata
from monitor.outputs.clips.paths import SUFFIXES, read_name
from monitor.outputs.clips.retention import MEGABYTE, StoredClip, clips_to_delete
from monitor.system.atomic_file import write_atomic
from monitor.system.bounded_read import DamagedError
from monitor.system.directories import make_directory
from monitor.system.threads import ThreadGroup
from monitor.system.wall_clock import WallClock
from monitor.types import Event

log = logging.getLogger(__name__)

COMPANIONS = (".json", ".png")

MAX_LOGGED = 5
"""Unreadable files that are logged, each once; further ones are not."""

MODES = {"owner": (0o600, 0o700), "group": (0o640, 0o750), "everyone": (0o644, 0o755)}
"""Modes of files and of directories, by `clips.readable_by`."""


class ClipLibrary(Output):
    """All clips in a directory; every method may be called from any thread.

    ``on_deleted`` takes the event of a clip that had to go, ``free`` returns the bytes left on the disk.
    """

    def __init__(
        self,
        directory: Path,
        config: ClipsConfig,
        *,
        on_deleted: Callable[[str], None] = lambda _: None,
        clock: WallClock | None = None,
        free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self.deleted: Counter[str] = Counter()
        """Clips that went, by the reason."""
        self._directory = directory
        self._config = config
        self._on_deleted = on_deleted
        self._clock = clock or WallClock()
        self._free = free
        self._clips: dict[str, StoredClip] = {}
        self._stuck: set[str] = set()
        self._damaged: set[str] = set()
        self._was_read = False
        self._lock = threading.Lock()

    def start(self, threads: ThreadGroup) -> None:
        """Apply the limits to clips of earlier runs; for a monitor that records none."""
        if self._directory.is_dir():
            threads.start("clips", self.tidy, may_stay=True)

    def apply(self, config: Config) -> None:
        """Apply changed limits."""
        self._config = config.clips

    def tidy(self) -> None:
        """Scan the clips; a directory that cannot be read is only logged."""
        try:
            self.scan()
        except OSError as error:
            log.warning("clips: %s: %s", self._directory, error.strerror or error)

    @property
    def clips(self) -> tuple[StoredClip, ...]:
        """All clips, oldest first."""
        with self._lock:
            return tuple(sorted(self._clips.values(), key=lambda clip: clip.path))

    @property
    def size(self) -> int:
        """Bytes of all clips."""
        with self._lock:
            return sum(clip.bytes for clip in self._clips.values())

    @property
    def locked(self) -> frozenset[str]:
        """Paths of the locked clips."""
        with self._lock:
            return frozenset(clip.path for clip in self._clips.values() if clip.locked)

    def scan(self) -> None:
        """Find all clips, delete incomplete ones, and apply the limits."""
        with self._lock:
            make_directory(self._directory, self._modes[1])
            self._clips = {clip.path: clip for clip in self._found()}
            if not self._was_read:  # later, clips of this run are among them, stamped by the same clock
                self._was_read = True
                self._clock.learn(max((clip.at for clip in self._clips.values()), default=None))
            self._make_room(0)

    @property
    def _modes(self) -> tuple[int, int]:
        return MODES[self._config.readable_by]

    def put(self, event: Event, path: str, files: Mapping[str, bytes], content: Mapping[str, Any]) -> bool:
        """Write a clip with ``content`` as its metadata; False if the disk has too little free space.

        ``files`` are contents by suffix, the sound file last, which has the path (of `clip_path`).

        Raises
        ------
        OSError
            It cannot be written; nothing of it is left.
        """
        with self._lock:
            mode, directory_mode = self._modes
            make_directory(self._directory, directory_mode)
            if not self._make_room(sum(map(len, files.values()))):
                return False
            sound = self._directory / path
            try:
                make_directory(sound.parent, directory_mode)
                size = metadata.write(sound.with_suffix(".json"), content, mode=mode)
                for suffix, body in files.items():
                    durable = suffix == sound.suffix
                    write_atomic(sound.with_suffix(suffix), body, durable=durable, mode=mode)
                    size += len(body)
            except OSError:
                for suffix in COMPANIONS:
                    with contextlib.suppress(OSError):
                        sound.with_suffix(suffix).unlink()
                raise
            at = float(int(event.started_at))
            self._clips[path] = StoredClip(path, event.id, event.source, event.label, at, size)
            return True

    def find(self, path: str) -> Path | None:
        """Return the file of a clip; None if there is none."""
        if read_name(path) is None:
            return None
        file = self._directory / path
        return file if file.is_file() else None

    def delete(self, path: str) -> bool:
        """Delete a clip, also a locked one; False if it is no clip or cannot be deleted."""
        if read_name(path) is None:
            return False
        with self._lock:
            self._clips.pop(path, None)
            return self._unlink(path)

    def lock(self, path: str, *, locked: bool) -> bool:
        """Lock or unlock a clip; False if there is no such clip.

        Raises
        ------
        OSError
            It cannot be noted.
        """
        with self._lock:
            clip = self._clips.get(path)
            if clip is None:
                return False
            beside = self._beside(path)
            try:
                content = metadata.read(beside)
            except (FileNotFoundError, DamagedError):
                content = {}
            metadata.write(beside, {**content, "locked": locked}, mode=self._modes[0])
            self._clips[path] = replace(clip, locked=locked)
            return True

    def with_events(self) -> Iterator[tuple[str, str, Event | None]]:
        """Yield path, identifier of the event, and the event if known, of every clip."""
        for clip in self.clips:
            yield clip.path, clip.event_id, metadata.event_of(self._about(self._beside(clip.path)))

    def _beside(self, path: str) -> Path:
        return (self._directory / path).with_suffix(".json")

    def _about(self, beside: Path) -> dict[str, Any]:
        """Return the metadata of a clip, empty if unreadable, which is logged."""
        try:
            return metadata.read(beside)
        except FileNotFoundError:
            return {}
        except DamagedError as error:
            why = str(error)
        except OSError as error:
            why = f"cannot be read: {error.strerror or error}"
        if beside.name not in self._damaged and len(self._damaged) < MAX_LOGGED:
            log.warning("%s: %s: the clip is kept, but the data about its event is lost", beside, why)
        self._damaged.add(beside.name)
        return {}

    def _found(self) -> Iterator[StoredClip]:
        """Yield every clip; delete files that belong to none."""
        for file in sorted(self._directory.glob("????-??-??/*")):
            path = file.relative_to(self._directory).as_posix()
            name = read_name(path)
            if name is None:
                continue
            try:
                if name.suffix in SUFFIXES.values():
                    yield self._measured(file, path, name.at, name.event_id)
                elif name.suffix == ".part" or not _has_sound(file):
                    file.unlink(missing_ok=True)
                    log.info("%s: %s is incomplete and is deleted", self._directory, path)
            except FileNotFoundError:  # gone since it was listed
                continue
            except OSError as error:
                self._note_stuck(path, error)

    def _measured(self, file: Path, path: str, at: float, event_id: str) -> StoredClip:
        size = file.stat().st_size
        for suffix in COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                size += file.with_suffix(suffix).stat().st_size
        content = self._about(file.with_suffix(".json"))
        event = metadata.event_of(content)
        source, label = ("", file.stem[17:-27]) if event is None else (event.source, event.label)
        return StoredClip(path, event_id, source, label, at, size, locked=content.get("locked") is True)

    def _make_room(self, need: int) -> bool:
        """Delete clips until this many bytes can be written; False if that is not enough."""
        clips = [clip for clip in self._clips.values() if clip.path not in self._stuck]
        free = self._free(self._directory)
        gone: Counter[str] = Counter()
        now = self._clock.now() if self._clock.may_delete() else None
        for clip, reason in clips_to_delete(clips, self._config, now=now, free=free, need=need):
            if self._unlink(clip.path):
                del self._clips[clip.path]
                gone[reason] += 1
                self._on_deleted(clip.event_id)
        for reason, count in gone.items():
            log.info("%s: %d oldest clips deleted: %s", self._directory, count, reason)
        self.deleted += gone
        return self._free(self._directory) - need >= self._config.free_megabytes * MEGABYTE

    def _unlink(self, path: str) -> bool:
        """Delete a clip and its companions; the sound first, so that an incomplete clip is never found."""
        sound = self._directory / path
        try:
            for suffix in (sound.suffix, *COMPANIONS):
                sound.with_suffix(suffix).unlink(missing_ok=True)
        except OSError as error:
            self._note_stuck(path, error)
            return False
        self._stuck.discard(path)
        with contextlib.suppress(OSError):  # other clips of the day are still there
            sound.parent.rmdir()
        return True

    def _note_stuck(self, path: str, error: OSError) -> None:
        if path not in self._stuck:  # once for each, not at every clip that is written
            log.warning("%s: %s: cannot be deleted: %s", self._directory, path, error.strerror or error)
        self._stuck.add(path)


def _has_sound(file: Path) -> bool:
    return any(file.with_suffix(suffix).exists() for suffix in SUFFIXES.values())
