"""Tables in text files, in the usual encodings and with the usual separators."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.system.boundary import boundary, printable
from monitor.system.bounded_read import DamagedError, read_bytes
from monitor.types import SourceError

_MOST_BYTES = 64 * 1024 * 1024
_SEPARATORS = "\t;,"
"""The one that makes most of the first line; of those that make as much, the first."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    number: int
    """Of the line in the file, from 1."""
    cells: Mapping[str, str]
    """By column, without white space around them."""


def read_rows(path: Path, known: Iterable[str], unnamed: Mapping[int, tuple[str, ...]]) -> list[Row]:
    """Read a table separated by tabs, semicolons or commas.

    Parameters
    ----------
    path : Path
        UTF-8, or UTF-16 with its byte order mark, as spreadsheets write it.
    known : iterable of str
        Columns of which a header has at least one; in any case, with spaces for underscores, in any order.
    unnamed : mapping of int to tuple of str
        For a table without a header: its columns, by their number; of the largest number also for more.

    Raises
    ------
    SourceError
        It cannot be read, is empty or holds nothing but a header, or a line has cells without a column or
        one that goes on in the next line.
    """
    text = _text(path)
    lines = [f"{line}\n" for line in text.split("\n")]
    known = frozenset(known)
    if lines and (said := re.fullmatch(r'"?sep=(.)"?\s*', lines[0])):  # Excel's own
        separator, lines[0] = said[1], "\n"
    else:
        first = next((line for line in lines if line.strip()), "")
        separator = max(_SEPARATORS, key=lambda mark: _fit(first, mark, known))
    with boundary(SourceError, str(path)):
        table = list(_cells(lines, separator))
    if not table:
        raise SourceError(f"{path}: is empty")
    header = _names(table[0][1])
    if known & set(header):
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice is not None:
            raise SourceError(f"{path}:{table[0][0]}: two columns are called {printable(twice)}; keep one")
        table = table[1:]
    else:  # tables of DCASE often have none
        width = max(count for count in unnamed if count <= max(len(header), min(unnamed)))
        header = list(unnamed[width])
    if not table:
        raise SourceError(f"{path}: contains only a header")
    return [_row(path, number, header, cells, separator) for number, cells in table]


def number(text: str) -> float:
    """Return a decimal number, written with a point or a comma; `ValueError` if it is none."""
    return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)


def _text(path: Path) -> str:
    try:
        content = read_bytes(path, _MOST_BYTES)
    except DamagedError as error:
        raise SourceError(f"{path}: cannot be read: it {error}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{path}:{line}: is not text in {encoding.upper().removesuffix('-SIG')}; save the table as UTF-8"
        ) from error
    if "\0" in text:
        raise SourceError(f"{path}: contains NUL bytes; save the table as UTF-8 text, not as a workbook")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _names(cells: Iterable[str]) -> list[str]:
    return [re.sub(r"[\s-]+", "_", cell.lower()) for cell in cells]


def _fit(line: str, separator: str, known: frozenset[str]) -> tuple[int, int]:
    """How many known columns, and how many cells, a separator makes of the first line."""
    cells = [
        cell.strip().strip('"') for cell in re.sub(r'"[^"]*"', _without_separators, line).split(separator)
    ]
    return len(known & set(_names(cells))), len(cells)


def _without_separators(quoted: re.Match[str]) -> str:
    return re.sub(f"[{_SEPARATORS}]", " ", quoted[0])


def _cells(lines: list[str], separator: str) -> Iterable[tuple[int, list[str]]]:
    """Lines that hold anything, with their numbers, without empty cells at their ends."""
    reader = csv.reader(lines, delimiter=separator)
    last = 0
    for row in reader:
        cells = [cell.strip() for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield last + 1, cells
        last = reader.line_num


def _row(path: Path, line: int, header: list[str], cells: list[str], separator: str) -> Row:
    if len(cells) > len(header):
        comma = (
            " (a decimal comma? then separate the columns by tabs or semicolons)" if separator == "," else ""
        )
        raise SourceError(f"{path}:{line}: {len(cells)} cells for {len(header)} columns{comma}")
    if any("\n" in cell for cell in cells):
        raise SourceError(
            f'{path}:{line}: a cell continues on the next line: is a quotation mark (") not closed?'
        )
    return Row(line, dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True)))
