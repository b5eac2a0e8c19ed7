"""What is heard in recordings: tables as DCASE writes them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.types import SourceError

_FILE = ("filename", "file")
_LABEL = ("event_label", "label")
_COLUMNS = {"filename", "file", "onset", "offset", "event_label", "label"}
_BARE = ("onset", "offset", "event_label")
_MEDIA = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A sound in a recording."""

    label: str
    onset: float
    """Seconds from the beginning."""
    offset: float
    snr_db: float | None = None
    """How far above the background, if the table says so."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file and what is heard in it."""

    path: Path
    occurrences: tuple[Occurrence, ...] = ()
    clip_label: str | None = None
    """Of a clip: what the whole of it is; it then has no occurrences."""


def read_annotations(path: Path) -> tuple[Recording, ...]:
    """Read a table of recordings, tab- or comma-separated, with or without a header.

    - ``filename onset offset event_label [snr_db]``: a line for each sound, times in seconds; a line with a
      name only is a recording in which nothing is heard.
    - ``onset offset event_label``: the same for the one recording that is called like the table.
    - ``filename label`` (or ``file``): each file is a clip of one sound.

    Names are relative to the table's folder.

    Raises
    ------
    SourceError
        The table cannot be read, or a line of it makes no sense; names the line.
    """
    rows = _rows(path)
    first = rows[0][1]
    if "onset" in first:
        return _with_occurrences(path, rows)
    if _first_of(first, _FILE) is None or _first_of(first, _LABEL) is None:
        raise SourceError(
            f"{path}:1: columns {', '.join(first)}: neither onset, offset, event_label nor filename, label"
        )
    return tuple(
        Recording(_existing(path, number, row, _FILE), clip_label=_text(path, number, row, _LABEL))
        for number, row in rows
    )


def _with_occurrences(path: Path, rows: Iterable[tuple[int, Mapping[str, str]]]) -> tuple[Recording, ...]:
    heard: dict[Path, list[Occurrence]] = {}
    alone = None
    for number, row in rows:
        if _first_of(row, _FILE) is None:
            file = alone = alone or _namesake(path)
        else:
            file = _existing(path, number, row, _FILE)
        occurrences = heard.setdefault(file, [])
        if row.get("onset"):
            occurrences.append(_occurrence(path, number, row))
    return tuple(Recording(file, tuple(occurrences)) for file, occurrences in heard.items())


def _occurrence(path: Path, number: int, row: Mapping[str, str]) -> Occurrence:
    label = _text(path, number, row, _LABEL)
    try:
        onset, offset = float(row["onset"]), float(row["offset"])
        snr = float(row["snr_db"]) if row.get("snr_db") else None
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path}:{number}: onset, offset and snr_db are numbers: {error}") from error
    if not 0.0 <= onset <= offset:
        raise SourceError(
            f"{path}:{number}: onset {onset:g} and offset {offset:g}: an end before its beginning"
        )
    return Occurrence(label, onset, offset, snr)


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Return the lines with their numbers, as column to text."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    table = [
        (number, cells)
        for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1)
        if any(cells)
    ]
    if not table:
        raise SourceError(f"{path}: no line in it")
    header = [cell.strip() for cell in table[0][1]]
    if not _COLUMNS & set(header):  # DCASE tables often have none
        names = ("filename", *_BARE) if len(header) > len(_BARE) else _BARE
        header = list(names[: len(header)])
    else:
        table = table[1:]
    if not table:
        raise SourceError(f"{path}: nothing but a header")
    return [(number, {n: c.strip() for n, c in zip(header, cells, strict=False)}) for number, cells in table]


def _existing(path: Path, number: int, row: Mapping[str, str], names: tuple[str, ...]) -> Path:
    file = path.parent / _text(path, number, row, names)
    if not file.is_file():
        raise SourceError(f"{path}:{number}: {file}: no such file")
    return file


def _namesake(path: Path) -> Path:
    for ending in _MEDIA:
        if path.with_suffix(ending).is_file():
            return path.with_suffix(ending)
    raise SourceError(
        f"{path}: has no column filename, and there is no {path.stem} with {', '.join(_MEDIA)} beside it"
    )


def _text(path: Path, number: int, row: Mapping[str, str], names: tuple[str, ...]) -> str:
    text = _first_of(row, names)
    if not text:
        raise SourceError(f"{path}:{number}: {' or '.join(names)} is missing")
    return text


def _first_of(row: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((row[name] for name in names if name in row), None)
