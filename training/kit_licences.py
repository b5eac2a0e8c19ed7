"""Licences of single files inside Debian packages, from their copyright files.

The format is https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/.  Its patterns name files of
the source package; packages install them elsewhere, so the end of a path is what is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

PERMISSIVE = re.compile(
    r"(cc0|cc-by(-[1234](\.[05])?)?(-us)?$|cc-by-[34]|expat|mit|isc|zlib|bsd|apache|public|pd$|unlicense|wtfpl"
    r"|bsl-1|boost|oga-by|0bsd|x11|ofl)",
    re.IGNORECASE,
)
SHARE_ALIKE = re.compile(r"(-sa|gpl|artistic|free-art|gfdl|mpl)", re.IGNORECASE)
REFUSED = re.compile(r"(-nc|-nd|agpl|sampling|see copyright)", re.IGNORECASE)

UNNAMED = "see the copyright file of the package"

LONGEST = 160
"""Characters kept of an attribution; the copyright file has all of it."""


@dataclass(frozen=True)
class Terms:
    """Licence and authors of a file."""

    licence: str
    attribution: str

    @property
    def rank(self) -> int:
        """0 if the licence asks for no more than attribution, 1 for share-alike, 2 if it cannot be used."""
        return min(
            (
                max(map(_rank, re.split(r"\s+and\s+|,\s*", way)))
                for way in re.split(r"\s+or\s+", self.licence)
            ),
            default=2,
        )


@dataclass(frozen=True)
class _Stanza:
    patterns: tuple[str, ...]
    terms: Terms

    @cached_property
    def tails(self) -> tuple[tuple[re.Pattern[str], int], ...]:
        """Each end of each pattern that still says something, with the number of its plain characters."""
        return tuple(_tails(self.patterns))


@lru_cache(maxsize=1)
def _stanzas(copyright_file: Path) -> tuple[_Stanza, ...]:
    text = copyright_file.read_text(errors="replace")
    return tuple(_parsed(text))


def terms_of(package: Path, name: str, path: PurePosixPath) -> Terms | None:
    """Terms of the file at ``path`` in an unpacked package; None if they cannot be told.

    Parameters
    ----------
    package : Path
        Folder of the unpacked package.
    name : str
        Of the package.
    path : PurePosixPath
        Relative to the folder.
    """
    if name == "openclonk":
        return _openclonk(package, path)
    file = package / "usr" / "share" / "doc" / name / "copyright"
    if not file.is_file():
        return None
    best: tuple[int, Terms] | None = None
    for stanza in _stanzas(file):
        for pattern, plain in stanza.tails:
            if (best is None or plain >= best[0]) and pattern.fullmatch(str(path)):
                best = (plain, stanza.terms)
    return best[1] if best else None


def _openclonk(package: Path, path: PurePosixPath) -> Terms | None:
    """Terms of a sound of OpenClonk, whose sources name author and licence in one table for all."""
    tables = sorted(package.glob("*/planet/Sound.ocg/authors.txt"))
    if not tables or "Sound.ocg" not in path.parts:
        return None
    author, licence = "OpenClonk Team", "CC-BY-3.0"
    found = Terms(licence, author)
    lines = tables[0].read_text(errors="replace").splitlines()
    # Some lines name the file, some only what its numbered variants have in common.
    whole = any(re.search(rf"\b{re.escape(path.stem)}\b", line) for line in lines)
    word = re.compile(rf"\b{re.escape(path.stem if whole else path.stem.rstrip('0123456789'))}")
    for line in lines:
        if "CC 0 license" in line:
            licence = "CC0-1.0"
        if named := re.match(r"(\S[^\t]*?)\s*\t*\s-\s", line.replace("\t", " \t ")):
            author = named[1].strip()
        if word.search(line.partition("(http")[0]):
            found = Terms(licence, f"{author} (OpenClonk)")
    return found


def _rank(licence: str) -> int:
    if REFUSED.search(licence):
        return 2
    if SHARE_ALIKE.search(licence):
        return 1
    return 0 if PERMISSIVE.match(licence.strip()) else 2


def _parsed(text: str) -> Iterator[_Stanza]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(_fields(paragraph))
        if "files" in fields and "license" in fields:
            licence = fields["license"].strip().splitlines()[0].strip() if fields["license"].strip() else ""
            authors = " ".join(fields.get("copyright", "").split()) or UNNAMED
            yield _Stanza(tuple(fields["files"].split()), Terms(licence, shortened(authors)))


def _fields(paragraph: str) -> Iterable[tuple[str, str]]:
    for match in re.finditer(r"^([A-Za-z-]+):(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE):
        yield match[1].lower(), match[2]


def _tails(patterns: Iterable[str]) -> Iterator[tuple[re.Pattern[str], int]]:
    for pattern in patterns:
        parts = pattern.removeprefix("./").split("/")
        if parts == ["*"]:
            yield re.compile(".*"), 0
        for first in range(len(parts)):
            tail = "/".join(parts[first:])
            plain = len(re.sub(r"[*?]", "", tail))
            if not first or re.sub(r"[*?/.]|ogg|wav|mp3|flac|sounds?|data", "", tail):
                yield re.compile("(?s:.*/)?" + translate(tail)), plain


def shortened(text: str) -> str:
    """At most `LONGEST` characters of a text."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rsplit(" ", 1)[0] + " …"
