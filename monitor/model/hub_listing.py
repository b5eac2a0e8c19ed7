"""What the hub says that a checkpoint consists of; believed only as far as it can be checked.

Commit and hashes become names of files, so they must be hexadecimal.  Without a hash there is nothing that
a file could be compared with, so a listing without one is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from monitor.model.checkpoint import FILES, WEIGHTS, largest
from monitor.model.hub_cache import COMMIT, Expected
from monitor.model.transfer import Server, UnfitAnswerError, pieces
from monitor.system.bounded_read import DamagedError, parse_json

_MOST = 16 * 2**20
"""Bytes of a listing; 10,000 files take three million."""

_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class NoHubError(Exception):
    """The answer is not that of a hub: a page to log in, for example."""


def ask(server: Server, checkpoint: str, revision: str | None, seconds: float) -> tuple[str, list[Expected]]:
    """Return the commit that a revision is, and the files of it that are wanted.

    Parameters
    ----------
    server : Server
    checkpoint : str
        Id on the hub.
    revision : str or None
    seconds : float
        Within which the answer must be here.

    Raises
    ------
    BrokenOffError, StatusError
        As of `transfer.pieces`.
    NoHubError
        It is no listing at all.
    UnfitAnswerError
        A commit, a size or a hash is not what it must be.
    """
    url = f"{server.address}/api/models/{checkpoint}"
    if revision is not None:
        url += f"/revision/{quote(revision, safe='')}"
    body = pieces(server, url + "?blobs=true", most=_MOST, deadline=time.monotonic() + seconds)
    try:
        listing = parse_json(b"".join(piece for _, piece in body))
    except DamagedError as error:
        raise NoHubError(str(error)) from error
    if not isinstance(listing, dict) or not isinstance(listing.get("siblings"), list):
        raise NoHubError("holds no list of files")
    commit = listing.get("sha")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise UnfitAnswerError(f"names the commit {_shown(commit)}, which is not 40 hexadecimal digits")
    if revision is not None and COMMIT.fullmatch(revision) and commit != revision:
        raise UnfitAnswerError(f"gives the commit {commit} for the commit {revision}")
    return commit, _wanted(listing["siblings"])


def _wanted(siblings: list[Any]) -> list[Expected]:
    """Of a repository's files, the small ones and the preferred weights."""
    listed = {
        entry["rfilename"]: entry
        for entry in siblings
        if isinstance(entry, dict) and isinstance(entry.get("rfilename"), str)
    }
    names = [name for name in FILES if name in listed]
    names += [name for name in WEIGHTS if name in listed][:1]
    return [_expected(name, listed[name]) for name in names]


def _expected(name: str, entry: Mapping[str, Any]) -> Expected:
    large = entry.get("lfs")
    size, digest, form = entry.get("size"), entry.get("blobId"), _SHA1
    if large is not None:
        large = large if isinstance(large, dict) else {}
        size, digest, form = large.get("size", size), large.get("sha256"), _SHA256
    if not isinstance(digest, str) or not form.fullmatch(digest):
        raise UnfitAnswerError(f"gives {name} the hash {_shown(digest)}, which is none")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= largest(name):
        raise UnfitAnswerError(
            f"gives {name} the size {_shown(size)}, which is not from 1 to {largest(name):,} bytes"
        )
    return Expected(name, size, digest)


def _shown(value: object) -> str:
    return repr(value)[:80]
