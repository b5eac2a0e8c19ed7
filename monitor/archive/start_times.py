"""Start times of recordings: from the name of the file, else from its metadata, else from its last change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC).timestamp(), 2.0**33
"""A time outside is damage."""


class TimeFrom(StrEnum):
    """What a start time was read from."""

    AUDIOMOTH = "audiomoth"
    """Name such as ``20240131_063000.WAV``, with or without words before it, or the time in hexadecimal."""
    BIRDNET_PI = "birdnet_pi"
    """Name such as ``2024-01-31-birdnet-06:30:00.wav``, with or without words before it."""
    FRIGATE = "frigate"
    """Path such as ``2024-01-31/06/CAMERA/30.00.mp4``: hour, then minute and second."""
    CLIP = "clip"
    """Name of a clip of this program or of BirdNET-Go, with a time such as ``20240131T063000Z``."""
    METADATA = "metadata"
    """What the file says about itself."""
    FILE_TIME = "file_time"
    """The last change of the file, less its length."""
    UNKNOWN = "unknown"
    """Nothing is known: 1970."""


@dataclass(frozen=True, slots=True)
class StartTime:
    """When a recording began."""

    at: float
    """Unix seconds."""
    known_from: TimeFrom


_DAY = r"(\d{4})[-_]?(\d{2})[-_]?(\d{2})"
_FRIGATE = re.compile(rf"(?:^|/){_DAY}/(\d{{2}})/([^/]+)/(\d{{2}})\.(\d{{2}})\.\w+$")
_CLIP = re.compile(rf"(?:^|[_-]){_DAY}T(\d{{2}})(\d{{2}})(\d{{2}})Z(?=[._-]|$)")
_BIRDNET = re.compile(rf"(?:^|[_-]){_DAY}-birdnet-(?:[^/]*-)?(\d{{2}})[:_-](\d{{2}})[:_-](\d{{2}})\.\w+$")
_AUDIOMOTH = re.compile(rf"(?:^|[_-]){_DAY}_(\d{{2}})(\d{{2}})(\d{{2}})T?(?=[._-]|$)")
_HEXADECIMAL = re.compile(r"([0-9A-Fa-f]{8})\.wav", re.IGNORECASE)
_FIRST_AUDIOMOTH = datetime(2017, 1, 1, tzinfo=UTC).timestamp()

_COMMENT = re.compile(
    r"Recorded at (\d{2}):(\d{2}):(\d{2})(?:\.\d+)? (\d{2})/(\d{2})/(\d{4}) \(UTC([+-]\d{1,2}(?::\d{2})?)?\)"
)
"""What AudioMoth writes into its files."""


def frigate_camera(path: str) -> str | None:
    """Return the camera of one of Frigate's recordings; None for any other path."""
    found = _FRIGATE.search(path)
    return None if found is None else found[5]


def start_time(
    path: str,
    tags: Mapping[str, str],
    *,
    zone: tzinfo | None = None,
    modified_at: float | None = None,
    seconds: float | None = None,
) -> StartTime:
    """Return when a recording began.

    Parameters
    ----------
    path : str
        Path or URL.
    tags : mapping of str to str
        Of the file, by name in small letters.
    zone : tzinfo or None
        Of a time that states none.  None: UTC; for BirdNET-Pi, which writes local time, that of this machine.
    modified_at : float or None
        Unix seconds of its last change.
    seconds : float or None
        Its length.
    """
    found = _from_name(path, zone) or _from_tags(tags, zone)
    if found is None and modified_at is not None:
        found = StartTime(modified_at - (seconds or 0.0), TimeFrom.FILE_TIME)
    if found is None or not _EARLIEST <= found.at <= _LATEST:
        return StartTime(0.0, TimeFrom.UNKNOWN)
    return found


def _from_name(path: str, zone: tzinfo | None) -> StartTime | None:
    name = path.rsplit("/", 1)[-1]
    readers: tuple[tuple[TimeFrom, Callable[[], float | None]], ...] = (
        (TimeFrom.FRIGATE, lambda: _frigate(path)),
        (TimeFrom.CLIP, lambda: _digits(_CLIP.search(name), UTC)),
        (TimeFrom.BIRDNET_PI, lambda: _digits(_BIRDNET.search(name), zone)),
        (TimeFrom.AUDIOMOTH, lambda: _digits(_AUDIOMOTH.search(name), zone or UTC)),
        (TimeFrom.AUDIOMOTH, lambda: _hexadecimal(name)),
    )
    for known_from, read in readers:
        at = read()
        if at is not None:
            return StartTime(at, known_from)
    return None


def _frigate(path: str) -> float | None:
    found = _FRIGATE.search(path)
    if found is None:
        return None
    year, month, day, hour, _, minute, second = found.groups()
    return _unix((year, month, day, hour, minute, second), UTC)


def _digits(found: re.Match[str] | None, zone: tzinfo | None) -> float | None:
    return None if found is None else _unix(found.groups(), zone)


def _hexadecimal(name: str) -> float | None:
    """Return the time of an old AudioMoth, whose names are Unix seconds in hexadecimal."""
    found = _HEXADECIMAL.fullmatch(name)
    at = float(int(found[1], 16)) if found is not None else 0.0
    return at if _FIRST_AUDIOMOTH <= at < 2**31 else None


def _from_tags(tags: Mapping[str, str], zone: tzinfo | None) -> StartTime | None:
    comment = _COMMENT.search(tags.get("comment", ""))
    if comment is not None:
        hour, minute, second, day, month, year, offset = comment.groups()
        at = _unix((year, month, day, hour, minute, second), UTC)
        return None if at is None else StartTime(at - _seconds(offset), TimeFrom.METADATA)
    created = tags.get("creation_time", "")
    for text in (created, f"{tags.get('date', '')}T{created}"):
        try:
            at_zone = datetime.fromisoformat(text.strip())
        except ValueError:
            continue
        if at_zone.tzinfo is None:
            at_zone = at_zone.replace(tzinfo=zone or UTC)
        return StartTime(at_zone.timestamp(), TimeFrom.METADATA)
    return None


def _seconds(offset: str | None) -> float:
    """Return seconds east of UTC of a text such as ``+2`` or ``-3:30``."""
    if not offset:
        return 0.0
    hours, _, minutes = offset[1:].partition(":")
    return (1 if offset[0] == "+" else -1) * (3600.0 * int(hours) + 60.0 * int(minutes or 0))


def _unix(parts: tuple[str, ...], zone: tzinfo | None) -> float | None:
    """Return Unix seconds of year, month, day, hour, minute and second; None if there is no such time."""
    year, month, day, hour, minute, second = map(int, parts)
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        return at.timestamp()
    except (ValueError, OverflowError):
        return None
