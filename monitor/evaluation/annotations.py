"""Annotations of recordings: tables in the format of DCASE."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.evaluation.table_reader import Row, number, read_rows
from monitor.system.boundary import printable
from monitor.types import SourceError

_FILE = ("filename", "file")
_LABEL = ("event_label", "label")
_COLUMNS = {"filename", "file", "onset", "offset", "event_label", "label"}
_BARE = ("onset", "offset", "event_label")
_UNNAMED = {3: _BARE, 4: ("filename", *_BARE), 5: ("filename", *_BARE, "snr_db")}
_MEDIA = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A sound in a recording."""

    label: str
    onset: float
    """Seconds from the beginning."""
    offset: float
    snr_db: float | None = None
    """Level above the background, if the table has it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file and the sounds in it."""

    path: Path
    occurrences: tuple[Occurrence, ...] = ()
    clip_label: str | None = None
    """Label of the whole file, if it is a clip; it then has no occurrences."""


def read_annotations(path: Path) -> tuple[Recording, ...]:
    """Read a table of recordings, separated by tabs, semicolons or commas, with or without a header.

    - ``filename onset offset event_label [snr_db]``: a line for each sound, times in seconds; a line with a
      name only is a recording without a sound of any label.
    - ``onset offset event_label``: the same for the one recording that is called like the table.
    - ``filename label`` (or ``file``): each file is a clip of one sound.

    Names are relative to the table's folder.

    Raises
    ------
    SourceError
        The table cannot be read, or a line is not valid; names the line.
    """
    rows = read_rows(path, _COLUMNS, _UNNAMED)
    first = rows[0].cells
    if "onset" in first:
        return _with_occurrences(path, rows)
    if _first_of(first, _FILE) is None or _first_of(first, _LABEL) is None:
        raise SourceError(
            f"{path}:1: columns {printable(', '.join(first))}: expected onset, offset, event_label "
            "or filename, label"
        )
    return tuple(Recording(_existing(path, row, _FILE), clip_label=_text(path, row, _LABEL)) for row in rows)


def _with_occurrences(path: Path, rows: Iterable[Row]) -> tuple[Recording, ...]:
    found: dict[Path, list[Occurrence]] = {}
    alone = None
    for row in rows:
        if _first_of(row.cells, _FILE) is None:
            file = alone = alone or _namesake(path)
        else:
            file = _existing(path, row, _FILE)
        occurrences = found.setdefault(file, [])
        if any(row.cells.get(name) for name in ("onset", "offset", *_LABEL)):
            occurrences.append(_occurrence(path, row))
    return tuple(Recording(file, tuple(occurrences)) for file, occurrences in found.items())


def _occurrence(path: Path, row: Row) -> Occurrence:
    label = _text(path, row, _LABEL)
    try:
        onset, offset = number(row.cells["onset"]), number(row.cells["offset"])
        snr = number(row.cells["snr_db"]) if row.cells.get("snr_db") else None
    except (KeyError, ValueError) as error:
        words = printable(str(error))
        raise SourceError(
            f"{path}:{row.number}: onset, offset and snr_db must be numbers: {words}"
        ) from error
    if not all(math.isfinite(value) for value in (onset, offset, snr or 0.0)):
        raise SourceError(f"{path}:{row.number}: onset, offset and snr_db must be finite numbers")
    if not 0.0 <= onset <= offset:
        raise SourceError(
            f"{path}:{row.number}: onset {onset:g} and offset {offset:g}: the offset is before the onset"
        )
    return Occurrence(label, onset, offset, snr)


def _existing(path: Path, row: Row, names: tuple[str, ...]) -> Path:
    name = _text(path, row, names)
    file = path.parent / name
    try:
        there = file.is_file()
    except OSError:  # the name is too long for one
        there = False
    if not there:
        raise SourceError(f"{path}:{row.number}: {path.parent / printable(name)}: no such file")
    return file


def _namesake(path: Path) -> Path:
    for ending in _MEDIA:
        if path.with_suffix(ending).is_file():
            return path.with_suffix(ending)
    raise SourceError(
        f"{path}: has no column filename, and there is no {path.stem} with {', '.join(_MEDIA)} beside it"
    )


def _text(path: Path, row: Row, names: tuple[str, ...]) -> str:
    text = _first_of(row.cells, names)
    if not text:
        raise SourceError(f"{path}:{row.number}: {' or '.join(names)} is missing")
    return text


def _first_of(row: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((row[name] for name in names if name in row), None)
