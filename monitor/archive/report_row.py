"""Report of a scan: one row for each recording, read or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitor.archive.recording_list import Recording
from monitor.archive.results import Draft
from monitor.archive.start_times import frigate_camera
from monitor.archive.tables import FAILED, FILES, FILES_TABLE, Origin, write_rows


def failed_part(recording: Recording, reason: str, origin: Origin, drafts: Path) -> Draft:
    """Write the report of a recording that ended the process in which it was read."""
    path = drafts / f"{recording.part}.{FILES_TABLE}"
    write_rows(path, FILES, [report_row(recording, FAILED, reason)], origin)
    return Draft(recording.part, True, 0.0, 0, reason, recording.file, {FILES_TABLE: path})


def source_of(recording: Recording) -> str:
    """Return the name of the source of a recording: Frigate's camera, or the folder."""
    return frigate_camera(recording.file) or recording.place


def report_row(recording: Recording, outcome: str, reason: str | None) -> dict[str, Any]:
    """Return the row of a recording if only its outcome is known."""
    return {
        "file": recording.file,
        "source": source_of(recording),
        "outcome": outcome,
        "reason": reason,
        "started_at": None,
        "time_from": None,
        **dict.fromkeys(("seconds", "lost_seconds"), 0.0),
        **dict.fromkeys(("windows", "scored", "events"), 0),
        "size_bytes": recording.size,
        "part": recording.part,
    }
