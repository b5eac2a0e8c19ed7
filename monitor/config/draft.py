"""Draft of a configuration: the file before set-up, and whether set-up may write it.

A file that set-up wrote begins with a line that holds the SHA-256 of all that follows.  Any other file, and
one whose text has changed since, is somebody's work: it is never rewritten.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monitor.config.loader import load_text, read_keys
from monitor.config.models import Config

_MARK = "# Written by clap-monitor, whose set-up rewrites this file only while nobody edits it. SHA-256: "
_FIRST_LINE = re.compile(re.escape(_MARK) + r"([0-9a-f]{64})\n")
_INTRODUCTION = (
    "# Keys that are left out have their defaults. All keys, with what they do: clap-monitor init -\n"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """File that set-up is to write."""

    path: Path
    """Absolute."""
    text: str | None
    """As it stands now; None: there is no file."""
    keys: Mapping[str, Any] = field(repr=False)
    """Its top-level keys."""
    config: Config
    """The same with defaults; without a source, those of the default."""

    @property
    def has_source(self) -> bool:
        """Whether it names an enabled source, or leaves the choice to the default."""
        if self.text is None:
            return False
        sources = self.keys.get("sources", True)
        listed = sources if isinstance(sources, list) else [sources]
        return any(each and not (isinstance(each, dict) and each.get("enabled") is False) for each in listed)

    @property
    def is_ours(self) -> bool:
        """Whether set-up may write the file: there is none, or set-up wrote every byte of it."""
        return self.text is None or is_written(self.text)

    @property
    def revision(self) -> str:
        """What a browser repeats, to show that it has seen this text."""
        return hashlib.sha256((self.text or "").encode()).hexdigest()[:16]


def read_draft(path: Path) -> Draft:
    """Read the file that set-up is to write; it may be missing, and may have no source.

    Raises
    ------
    ConfigError
        It cannot be read, or has errors.
    """
    if not path.exists():
        return Draft(path, None, {}, Config())
    text, keys = read_keys(path)
    draft = Draft(path, text, keys, Config())
    return Draft(path, text, keys, load_text(text, path, without=None if draft.has_source else "sources"))


def needs_set_up(path: Path, web: str | None) -> bool:
    """Return whether a run with this file begins with set-up: it has no source, and the page is on.

    ``web`` is the address of the page on the command line; None: the page is on if the file says so.

    Raises
    ------
    ConfigError
        The file cannot be read, or has errors.
    """
    if web is None and not path.exists():
        return False
    draft = read_draft(path)
    return not draft.has_source and (web is not None or draft.config.web.enabled)


def written(keys: Mapping[str, Any]) -> str:
    """Text of a configuration with these keys, marked as written by set-up."""
    return marked(_INTRODUCTION + _dumped(keys))


def marked(body: str) -> str:
    """Text with the line before it by which `is_written` knows that nobody has edited it."""
    return f"{_MARK}{_digest(body)}\n{body}"


def is_written(text: str) -> bool:
    """Return whether a text is, byte for byte, one that `marked` made."""
    found = _FIRST_LINE.match(text)
    return found is not None and found[1] == _digest(text[found.end() :])


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _dumped(keys: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(keys), sort_keys=False, allow_unicode=True, width=110)
