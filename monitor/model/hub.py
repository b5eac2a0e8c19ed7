"""Where a checkpoint is: the embedded one, a directory, or a snapshot of the hub in the cache.

What is in the cache is used as it is, without asking the hub, so that a service starts without a
network; only `download` looks for something newer.  It checks what it got against the hub's own
hashes and then pins the commit, in a small file beside the snapshots, so that other programs
which move ``refs/main`` in the shared cache do not change what the service hears with.
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
from monitor.model.checkpoint import lacking, missing, names_in, read_mel_config
from monitor.model.hub_cache import COMMIT, Expected, Folder
from monitor.model.mel_config import USUAL_WINDOW_SECONDS
from monitor.model.transfer import BrokenOffError, Server, StatusError, UnfitAnswerError, pieces
from monitor.system.boundary import boundary, explain, printable
from monitor.system.bounded_read import DamagedError, read_json, read_text
from monitor.types import ConfigError, HubUnreachableError, ModelError

Progress = Callable[[int, int], None]
"""Takes the bytes that are here and the bytes in all."""

log = logging.getLogger(__name__)


class _OfflineError(Exception):
    """The hub may not be asked."""


STARTER = Path(__file__).parents[1] / "starter"
_PINS = "clap-monitor.json"
_ID = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)

PATIENCE_SECONDS = 60.0
"""For an answer, besides the time that its bytes take."""

SLOWEST = 10_000
"""Bytes a second; what comes more slowly on the whole has broken off."""

_NOT_FOUND = frozenset({401, 404})
_PAUSE_SECONDS = 1.0
_TRIES = 5
"""To take up a transfer, since anything came."""

_SMALLEST = 64 * 1024
"""Bytes of the files that name commits, which have a few dozen."""


def resolve(checkpoint: str, revision: str | None = None) -> Path:
    """Directory of a checkpoint; one of the hub that is not here yet is fetched.

    Parameters
    ----------
    checkpoint : str
        ``starter``, a directory, or the id of a checkpoint on the hub.
    revision : str or None
        Commit, tag or branch on the hub; None is what was downloaded last.

    Raises
    ------
    ConfigError
        A revision of something that has none.
    HubUnreachableError
        It is not here, and the hub cannot be reached.
    ModelError
        There is no such directory and no such checkpoint.
    """
    here = local_directory(checkpoint, revision)
    if here is not None:
        return here
    log.info("%s is not on this machine: fetching it from %s", checkpoint, constants.ENDPOINT)
    return download(checkpoint, revision)


def local_directory(checkpoint: str, revision: str | None = None) -> Path | None:
    """Directory of a checkpoint if it is on this machine; raises as `resolve` does, and asks no network."""
    return _local(checkpoint, revision) or _snapshot(checkpoint, revision)


def usual_window_seconds(checkpoint: str, revision: str | None = None) -> float:
    """Seconds of a window that the configuration leaves open; raises as `local_directory` does."""
    directory = local_directory(checkpoint, revision)
    if directory is None:
        return USUAL_WINDOW_SECONDS
    mel_config = read_mel_config(directory)
    return mel_config.usual_window / mel_config.rate


def download(checkpoint: str, revision: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a checkpoint from the hub, check it, pin it, and return its directory.

    A file that is here already is not fetched again, only checked.  Until every file is here and
    right, whatever was pinned before stays pinned; a file that was right once is not replaced by another.

    Raises
    ------
    ConfigError
        A revision of something that has none.
    HubUnreachableError
        The hub cannot be reached, or the transfer broke off.
    ModelError
        No such checkpoint, one that lacks files, or a hub that says or sends what it may not.
    """
    local = _local(checkpoint, revision)
    if local is not None:
        return local
    folder = _folder(checkpoint)
    with _translated(checkpoint, revision), _server() as server:
        commit, files = hub_listing.ask(server, checkpoint, revision, PATIENCE_SECONDS)
        without = lacking({file.name for file in files})
        if without:
            raise ModelError(f"{checkpoint}: not a CLAP checkpoint: without {', '.join(without)}")
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
    """Directory that ``checkpoint`` names; None if it is the id of one on the hub."""
    with boundary(ModelError, printable(checkpoint)[:200]):  # a home of nobody, a name that is too long
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
    """Whole snapshot in the cache: of the pinned commit, or of what another program fetched."""
    folder = _folder(checkpoint)
    wanted = revision or constants.DEFAULT_REVISION
    commit = wanted if COMMIT.fullmatch(wanted) else _pins(folder).get(wanted) or _reference(folder, wanted)
    if commit is None:
        return None
    path = folder.snapshot(commit)
    if missing(path):
        return None
    astray = next((path / name for name in names_in(path) if not folder.holds(path / name)), None)
    if astray is not None:
        log.warning("%s: leads out of the cache: the snapshot is not used", astray)
        return None
    return path


def _pins(folder: Folder) -> dict[str, str]:
    """Commit of each revision that was downloaded; whatever is no commit is left out."""
    path = folder.path / _PINS
    try:
        content = read_json(path, _SMALLEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, what was downloaded last is not known: %s", path, explain(error))
        return {}
    pins = content.items() if isinstance(content, dict) else ()
    return {name: commit for name, commit in pins if isinstance(commit, str) and COMMIT.fullmatch(commit)}


def _reference(folder: Folder, revision: str) -> str | None:
    """Commit of a revision that another program downloaded."""
    path = folder.path / "refs" / revision
    try:
        commit = read_text(path, _SMALLEST).strip() if folder.holds(path) else ""
    except (OSError, ValueError):  # there is none; or the revision is no name of a file
        return None
    return commit if COMMIT.fullmatch(commit) else None


@contextmanager
def _server() -> Iterator[Server]:
    if constants.is_offline_mode():
        raise _OfflineError
    # Imported late: they bring an HTTP client, which `clap-monitor check` has no time for (0.4 s).
    from huggingface_hub import get_token  # noqa: PLC0415
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # noqa: PLC0415

    # Not `build_hf_headers`, which asks the hub about programs that it knows before anything else.
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
    """Bring one file of a commit into the cache; a transfer that breaks off is taken up where it ended."""
    commit, file = wanted
    url = f"{server.address}/{checkpoint}/resolve/{commit}/{file.name}"
    deadline = time.monotonic() + PATIENCE_SECONDS + file.size / SLOWEST
    with folder.place(commit, file) as stream:
        here, tries, digest = 0, _TRIES, file.hasher()
        while here < file.size:
            before = here
            try:
                for at, piece in pieces(server, url, most=file.size, deadline=deadline, begin=here):
                    if at == 0 < here:  # a server that cannot take it up
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
                    raise HubUnreachableError(f"{checkpoint}: the transfer broke off; download it again")
                time.sleep(_PAUSE_SECONDS)
        if digest.hexdigest() != file.digest:
            raise ModelError(
                f"{checkpoint}: {file.name} is not the file that the hub describes (its hash is another): it "
                "was not kept; download it again, or look for a proxy that changes files"
            )


def _counter(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Count bytes for ``progress``."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return count


_REASONS = {
    "GatedRepo": "its owners must grant access first: see {hub}/{checkpoint}",
    "RevisionNotFound": "no revision {revision} on {hub}",
    "EntryNotFound": "{hub} lists a file that it does not have",
    "RepoNotFound": "no such directory, nor a public checkpoint on {hub}",
}
"""What the hub refuses with, and what it means."""


@contextmanager
def _translated(checkpoint: str, revision: str | None) -> Iterator[None]:
    """Turn what goes wrong into one line that says what to do."""
    hub = constants.ENDPOINT
    otherwise = (
        f"use `--model starter` or a directory, or run `clap-monitor download {checkpoint}` "
        "where the hub can be reached"
    )
    try:
        yield
    except StatusError as error:
        reason = _REASONS.get(error.reason) or (
            _REASONS["RepoNotFound"] if error.status in _NOT_FOUND else None
        )
        if reason is None:
            raise HubUnreachableError(f"{checkpoint}: {hub} answers {error.status}: {otherwise}") from error
        line = reason.format(hub=hub, checkpoint=checkpoint, revision=revision)
        raise ModelError(f"{checkpoint}: {line}") from error
    except _OfflineError as error:
        raise HubUnreachableError(
            f"{checkpoint}: not here, and HF_HUB_OFFLINE is set: {otherwise}"
        ) from error
    except BrokenOffError as error:
        raise HubUnreachableError(f"{checkpoint}: {hub} cannot be reached: {otherwise}") from error
    except hub_listing.NoHubError as error:
        raise HubUnreachableError(f"{checkpoint}: {hub} answers as no hub does: {otherwise}") from error
    except UnfitAnswerError as error:
        raise ModelError(
            f"{checkpoint}: {hub} {error}: it was not kept; download it again, or look for a proxy "
            "that changes what the hub says"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{checkpoint}: cannot be kept in {constants.HF_HUB_CACHE}: {explain(error)}"
        ) from error
