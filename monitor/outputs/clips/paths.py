"""Clip paths: they sort by time, are safe on every file system, and name time, source and label."""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass
from pathlib import PurePosixPath

from monitor.config import ClipsConfig, Config
from monitor.types import Event

SUFFIXES = {"flac": ".flac", "wav": ".wav", "opus": ".opus"}

_PATH = re.compile(
    r"\d{4}-\d{2}-\d{2}/(?P<at>\d{8}T\d{6})Z_[a-z0-9_-]{3,65}_(?P<id>[0-9A-HJKMNP-TV-Z]{26})"
    r"(?P<suffix>\.flac|\.wav|\.opus|\.json|\.png|\.part)"
)
"""Only files with such a path are ever read, served or deleted.  Sources and labels may both contain an
underscore, so the metadata beside the clip tells them apart."""


@dataclass(frozen=True, slots=True)
class Name:
    """Parts of the path of a file of a clip."""

    at: float
    """Unix seconds of the onset, whole."""
    event_id: str
    suffix: str


def clip_path(event: Event, suffix: str = ".flac") -> str:
    """Return the path of the clip of an event, below the recordings.

    Such as ``2026-11-23/20261123T120003Z_mic_dog_ID.flac``.
    """
    at = time.gmtime(event.started_at)
    source, label = (
        re.sub(r"[^a-z0-9_-]", "-", word.lower())[:32] or "-" for word in (event.source, event.label)
    )
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', at)}_{source}_{label}_{event.id}{suffix}"
    return f"{time.strftime('%Y-%m-%d', at)}/{name}"


def read_name(path: str | PurePosixPath) -> Name | None:
    """Return the parts of a path below the recordings; None if it is no path of a clip."""
    found = _PATH.fullmatch(str(path))
    if found is None:
        return None
    try:
        at = calendar.timegm(time.strptime(found["at"], "%Y%m%dT%H%M%S"))
    except ValueError:  # the 31st of February
        return None
    return Name(float(at), found["id"], found["suffix"])


def with_url(config: Config) -> ClipsConfig:
    """Return the settings of clips, with the page as ``public_url`` if they name no other place."""
    if config.clips.public_url is None and config.web.enabled and config.web.public_url is not None:
        return config.clips.model_copy(update={"public_url": f"{config.web.public_url}/api/clips"})
    return config.clips
