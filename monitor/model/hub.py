"""Hub: downloads a checkpoint of the Hugging Face hub and verifies it, or finds the starter or a directory.

A cached snapshot is used without asking the hub, so that a service starts without a network; only `download`
looks for a newer one.  It verifies all files against the hashes of the hub and then pins the commit in a
small file beside the snapshots: another program that moves ``refs/main`` in the shared cache changes nothing
here.

``huggingface_hub`` is used for settings and the token, not for transfers.  Its ``model_info`` was still
reading an endless listing, and one that arrives byte by byte, after 30 s [measured with
tests/model/test_hub.py]; `transfer` bounds the size, the time and the redirects of every answer.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants

from monitor.model import hub_listing
from monitor.model.checkpoint import lacking, names_in, read
from monitor.model.hub_cache import COMMIT, Expected, Folder
from monitor.model.hub_errors import HubUnreachableError, OfflineError, translated
from monitor.model.mel_config import USUAL_WINDOW_SECONDS
from monitor.model.transfer import BrokenOffError, Server, pieces
from monitor.system.boundary import boundary, explain, printable
from monitor.system.bounded_read import DamagedError, read_json, read_text
from monitor.types import ConfigError, ModelError

Progress = Callable[[int, int], None]
"""Takes the number of bytes received and the total number of bytes."""

log = logging.getLogger(__name__)


STARTER = Path(__file__).parents[1] / "starter"
_PINS = "clap-monitor.json"
_ID = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)

PATIENCE_SECONDS = 60.0
"""Time limit of an answer, in addition to the time that its bytes take."""

SLOWEST = 10_000
"""Bytes per second; a transfer that is slower on average has failed."""

_PAUSE_SECONDS = 1.0
_TRIES = 5
"""Attempts to resume a transfer without receiving anything."""

_SMALLEST = 64 * 1024
"""Maximum size of the files that name commits, in bytes; they have a few dozen."""


def resolve(checkpoint: str, revision: str | None = None) -> Path:
    """Directory of a checkpoint; downloads a hub checkpoint that is not in the cache.

    ``checkpoint`` is ``starter``, a directory, or an id on the hub; ``revision`` is a commit, tag or branch
    on the hub, or None for the last download.

    Raises
    ------
    ConfigError
        A revision for a checkpoint that is not on the hub.
    HubUnreachableError
        It is not in the cache, and the hub cannot be reached.
    ModelError
        Neither a directory nor a checkpoint of that name exists.
    """
    here = local_directory(checkpoint, revision)
    if here is not None:
        return here
    log.info("%s is not on this machine: downloading it from %s", checkpoint, constants.ENDPOINT)
    return download(checkpoint, revision)


def local_directory(checkpoint: str, revision: str | None = None) -> Path | None:
    """Directory of a checkpoint if it is on this machine; raises as `resolve`, and uses no network."""
    return _local(checkpoint, revision) or _snapshot(checkpoint, revision)


def usual_window_seconds(checkpoint: str, revision: str | None = None) -> float:
    """Default length of a window, in seconds; raises as `local_directory` does."""
    directory = local_directory(checkpoint, revision)
    if directory is None:
        return USUAL_WINDOW_SECONDS
    mel_config = read(directory).mel_config
    return mel_config.usual_window / mel_config.rate


def download(checkpoint: str, revision: str | None = None, progress: Progress | None = None) -> Path:
    """Download a checkpoint from the hub, verify it, pin it, and return its directory.

    A file in the cache is only verified.  The previous pin stays until every file is complete and verified,
    and a verified file is never replaced by a different one.

    Raises
    ------
    ConfigError
        A revision for a checkpoint that is not on the hub.
    HubUnreachableError
        The hub cannot be reached, or the transfer failed.
    ModelError
        There is no such checkpoint, files are missing, or an answer of the hub is invalid.
    """
    local = _local(checkpoint, revision)
    if local is not None:
        return local
    folder = _folder(checkpoint)
    with translated(checkpoint, revision, constants.ENDPOINT, constants.HF_HUB_CACHE), _server() as server:
        commit, files = hub_listing.ask(server, checkpoint, revision, PATIENCE_SECONDS)
        without = lacking({file.name for file in files})
        if without:
            raise ModelError(f"{checkpoint}: not a CLAP checkpoint: missing {', '.join(without)}")
        count = _counter(sum(file.size for file in files), progress)
        for file in files:
            if folder.has(commit, file) or folder.adopt(commit, file):
                count(file.size)
            else:
                _fetch(server, checkpoint, folder, (commit, file), count)
        pins = _pins(folder) | {revision or constants.DEFAULT_REVISION: commit}
        folder.write(_PINS, json.dumps(pins, indent=1).encode())
    return folder.snapshot(commit)


def _local(checkpoint: str, revision: str | None) -> Path | None:
    """Directory that ``checkpoint`` names; None if it is an id on the hub."""
    with boundary(
        ModelError, printable(checkpoint)[:200]
    ):  # an unknown home directory, a name that is too long
        path = STARTER if checkpoint == "starter" else Path(checkpoint).expanduser()
        is_directory = bool(checkpoint) and path.is_dir()
    if is_directory:
        if revision is not None:
            raise ConfigError(
                f"model.revision: {revision}: {checkpoint} is not on the hub and has no revisions"
            )
        return path
    if not _ID.fullmatch(checkpoint):
        raise ModelError(
            f"{checkpoint}: no such directory; a checkpoint is `starter`, a directory, or an id such as "
            "laion/larger_clap_general"
        )
    return None


def _folder(checkpoint: str) -> Folder:
    root = Path(constants.HF_HUB_CACHE)
    return Folder(root, root / f"models--{checkpoint.replace('/', '--')}")


def _snapshot(checkpoint: str, revision: str | None) -> Path | None:
    """Complete snapshot in the cache: the pinned commit, or the download of another program."""
    folder = _folder(checkpoint)
    wanted = revision or constants.DEFAULT_REVISION
    commit = wanted if COMMIT.fullmatch(wanted) else _pins(folder).get(wanted) or _reference(folder, wanted)
    if commit is None:
        return None
    path = folder.snapshot(commit)
    names = names_in(path)
    if lacking(names):
        return None
    astray = next((path / name for name in names if not folder.holds(path / name)), None)
    if astray is not None:
        log.warning("%s: links to a place outside the cache; the snapshot is not used", astray)
        return None
    return path


def _pins(folder: Folder) -> dict[str, str]:
    """Commit of each downloaded revision; invalid entries are ignored."""
    path = folder.path / _PINS
    try:
        content = read_json(path, _SMALLEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, so the last download is unknown: %s", path, explain(error))
        return {}
    pins = content.items() if isinstance(content, dict) else ()
    return {name: commit for name, commit in pins if isinstance(commit, str) and COMMIT.fullmatch(commit)}


def _reference(folder: Folder, revision: str) -> str | None:
    """Commit of a revision that another program downloaded."""
    path = folder.path / "refs" / revision
    try:
        commit = read_text(path, _SMALLEST).strip() if folder.holds(path) else ""
    except (OSError, ValueError):  # it does not exist, or the revision is not a file name
        return None
    return commit if COMMIT.fullmatch(commit) else None


@contextmanager
def _server() -> Iterator[Server]:
    if constants.is_offline_mode():
        raise OfflineError
    # A late import: the HTTP client takes 0.4 s, which `clap-monitor check` does not need.
    from huggingface_hub import get_token  # noqa: PLC0415
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # noqa: PLC0415

    # `build_hf_headers` would send additional requests.
    headers = {"user-agent": "clap-monitor"}
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token:
        headers["authorization"] = f"Bearer {token}"
    with httpx.Client() as session:
        yield Server(session, constants.ENDPOINT, headers)


def _fetch(
    server: Server,
    checkpoint: str,
    folder: Folder,
    wanted: tuple[str, Expected],
    count: Callable[[int], None],
) -> None:
    """Download one file of a commit into the cache; an interrupted transfer is resumed."""
    commit, file = wanted
    url = f"{server.address}/{checkpoint}/resolve/{commit}/{file.name}"
    deadline = time.monotonic() + PATIENCE_SECONDS + file.size / SLOWEST
    with folder.place(commit, file) as stream:
        here, tries, digest = 0, _TRIES, file.hasher()
        while here < file.size:
            before = here
            try:
                for at, piece in pieces(server, url, most=file.size, deadline=deadline, begin=here):
                    if at == 0 < here:  # the server cannot resume
                        stream.seek(0)
                        stream.truncate()
                        digest = file.hasher()
                        count(-here)
                    stream.write(piece)
                    digest.update(piece)
                    count(len(piece))
                    here = at + len(piece)
            except BrokenOffError as error:
                log.debug("%s", error)
            if here < file.size:
                tries = _TRIES if here > before else tries - 1
                if not tries or time.monotonic() > deadline:
                    raise HubUnreachableError(f"{checkpoint}: the transfer failed; download it again")
                time.sleep(_PAUSE_SECONDS)
        if digest.hexdigest() != file.digest:
            raise ModelError(
                f"{checkpoint}: {file.name} does not have the hash that the hub lists: it was deleted; "
                "download it again, or look for a proxy that changes files"
            )


def _counter(total: int, progress: Progress | None) -> Callable[[int], None]:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return count
