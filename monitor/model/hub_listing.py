"""Hub listing: the commit and the files of a checkpoint, strictly checked.

Commits and hashes become file names, so they must be hexadecimal.  A listing without hashes is refused,
because its files could not be verified.
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
"""Maximum size of a listing, in bytes; 10,000 files take three million."""

_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class NoHubError(Exception):
    """The answer is not a listing: a login page, for example."""


def ask(server: Server, checkpoint: str, revision: str | None, seconds: float) -> tuple[str, list[Expected]]:
    """Commit of a revision, and its files that belong to a checkpoint, received within ``seconds``.

    Raises
    ------
    BrokenOffError, StatusError
        As `transfer.pieces`.
    NoHubError
        The answer is not a listing.
    UnfitAnswerError
        A commit, a size or a hash is invalid.
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
        raise NoHubError("does not contain a list of files")
    commit = listing.get("sha")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise UnfitAnswerError(f"names the commit {_shown(commit)}, which is not 40 hexadecimal digits")
    if revision is not None and COMMIT.fullmatch(revision) and commit != revision:
        raise UnfitAnswerError(f"returns the commit {commit} for the commit {revision}")
    return commit, _wanted(listing["siblings"])


def _wanted(siblings: list[Any]) -> list[Expected]:
    """Files of a checkpoint in a repository: the small ones and the preferred weights."""
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
        raise UnfitAnswerError(f"lists {name} with the hash {_shown(digest)}, which is invalid")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= largest(name):
        raise UnfitAnswerError(
            f"lists {name} with the size {_shown(size)}, which is not from 1 to {largest(name):,} bytes"
        )
    return Expected(name, size, digest)


def _shown(value: object) -> str:
    return repr(value)[:80]
