"""Where a checkpoint is: the embedded one, a directory, or a snapshot of the hub in the cache.

What is in the cache is used as it is, without asking the hub, so that a service starts without a
network; only `download` looks for something newer.  It checks what it got against the hub's own
hashes and then pins the commit, in a small file beside the snapshots, so that other programs
which move ``refs/main`` in the shared cache do not change what the service hears with.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants

from monitor.checkpoint import FILES, WEIGHTS, missing, read_geometry
from monitor.geometry import USUAL_WINDOW_SECONDS
from monitor.types import ConfigError, HubUnreachableError, ModelError

Progress = Callable[[int, int], None]
"""Takes the bytes that are here and the bytes in all."""

log = logging.getLogger(__name__)

STARTER = Path(__file__).parent / "starter"
_PINS = "clap-monitor.json"
_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


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
    geometry = read_geometry(directory)
    return geometry.usual_window / geometry.rate


def download(checkpoint: str, revision: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a checkpoint from the hub, check it, pin it, and return its directory.

    A file that is here already is not fetched again, only checked.  Until every file is here and
    right, whatever was pinned before stays pinned.

    Raises
    ------
    ConfigError
        A revision of something that has none.
    HubUnreachableError
        The hub cannot be reached, or the transfer broke off.
    ModelError
        No such checkpoint, one that lacks files, or a file that is not what the hub says it is.
    """
    local = _local(checkpoint, revision)
    if local is not None:
        return local
    with _translated(checkpoint, revision):
        listing = huggingface_hub.HfApi().model_info(
            checkpoint, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        files = _wanted({file.rfilename: file for file in listing.siblings or ()})
        commit = str(listing.sha)
        count = _counter(sum(file.size or 0 for file in files), progress)
        for file in files:
            _fetch(checkpoint, commit, file, count)
    path = _folder(checkpoint) / "snapshots" / commit
    lacking = missing(path)
    if lacking:
        raise ModelError(f"{checkpoint}: not a CLAP checkpoint: without {', '.join(lacking)}")
    _pin(checkpoint, revision, commit)
    return path


def _local(checkpoint: str, revision: str | None) -> Path | None:
    """Directory that ``checkpoint`` names; None if it is the id of one on the hub."""
    path = STARTER if checkpoint == "starter" else Path(checkpoint).expanduser()
    if checkpoint and path.is_dir():
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


def _folder(checkpoint: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{checkpoint.replace('/', '--')}"


def _snapshot(checkpoint: str, revision: str | None) -> Path | None:
    """Whole snapshot in the cache: of the pinned commit, or of what another program fetched."""
    folder = _folder(checkpoint)
    wanted = revision or constants.DEFAULT_REVISION
    commit = wanted if _COMMIT.fullmatch(wanted) else _pins(folder).get(wanted)
    reference = folder / "refs" / wanted
    if commit is None and reference.is_file():
        commit = reference.read_text().strip()
    if commit is None:
        return None
    path = folder / "snapshots" / commit
    return None if missing(path) else path


def _pins(folder: Path) -> dict[str, str]:
    try:
        content = json.loads((folder / _PINS).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _pin(checkpoint: str, revision: str | None, commit: str) -> None:
    folder = _folder(checkpoint)
    pins = _pins(folder) | {revision or constants.DEFAULT_REVISION: commit}
    draft = folder / f"{_PINS}.{os.getpid()}"
    try:
        draft.write_text(json.dumps(pins, indent=1))
        draft.replace(folder / _PINS)
    except OSError as error:
        raise ModelError(f"{folder / _PINS}: cannot be written: {error.strerror}") from error


def _wanted(listing: dict[str, Any]) -> list[Any]:
    """Of a repository's files, the small ones and the preferred weights."""
    names = [name for name in FILES if name in listing]
    names += [name for name in WEIGHTS if name in listing][:1]
    return [listing[name] for name in names]


def _fetch(checkpoint: str, commit: str, file: Any, count: Any) -> None:
    """Bring one file of a commit into the cache; what is not as the hub says is taken out again."""
    name = file.rfilename
    cached = huggingface_hub.try_to_load_from_cache(checkpoint, name, revision=commit)
    if isinstance(cached, str):
        if _matches(Path(cached), file):
            count(total=file.size).update(file.size or 0)
            return
        _discard(Path(cached))
    path = Path(huggingface_hub.hf_hub_download(checkpoint, name, revision=commit, tqdm_class=count))
    if not _matches(path, file):
        _discard(path)
        raise ModelError(
            f"{checkpoint}: {name} is not the file that the hub describes (its hash is another): it was not "
            "kept; download it again, or look for a proxy that changes files"
        )


def _matches(path: Path, file: Any) -> bool:
    """Compare a file with the listing: SHA-256 of a large one, git's SHA-1 of a small one.

    huggingface_hub itself compares sizes only.
    """
    if file.lfs is not None:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == str(file.lfs.sha256)
    if file.blob_id is None:
        return True
    content = path.read_bytes()
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == str(file.blob_id)


def _discard(path: Path) -> None:
    """Remove a file of a snapshot and the blob that it points to."""
    blob = path.resolve()
    path.unlink()
    blob.unlink(missing_ok=True)


def _counter(total: int, progress: Progress | None) -> Any:
    """Class that counts bytes for ``progress`` where the library would draw a bar."""
    from huggingface_hub.utils.tqdm import tqdm  # noqa: PLC0415 - as in `_meanings`

    done = 0

    class Counter(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        monitor_interval = 0  # no thread that watches bars

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            nonlocal done
            done += int(n or 0)
            if progress is not None:
                progress(done, total)

        def update_transfer(self, _bytes: int) -> None:
            """Bytes on the wire; those on the disk are what is counted."""

    return Counter


def configuration_errors() -> tuple[type[Exception], ...]:
    """Errors of the library's configuration classes, for a value of the wrong type."""
    from huggingface_hub import errors  # noqa: PLC0415 - as in `_meanings`

    return (errors.StrictDataclassError,)


def _meanings() -> tuple[tuple[tuple[type[Exception], ...], type[ModelError], str], ...]:
    """What the library raises, the kinder class first, and what it means; {hub} is the endpoint."""
    # Imported late: they bring an HTTP client, which `clap-monitor check` has no time for (0.4 s).
    from huggingface_hub import errors  # noqa: PLC0415
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # noqa: PLC0415

    away = "{hub} cannot be reached: {otherwise}"
    return (
        ((errors.GatedRepoError,), ModelError, "its owners must grant access first: see {hub}/{checkpoint}"),
        ((errors.RevisionNotFoundError,), ModelError, "no revision {revision} on {hub}"),
        (
            (errors.RepositoryNotFoundError,),
            ModelError,
            "no such directory, nor a public checkpoint on {hub}",
        ),
        ((errors.HFValidationError,), ModelError, "no such directory, and not the id of a checkpoint"),
        ((errors.LocalEntryNotFoundError,), HubUnreachableError, away),
        ((errors.EntryNotFoundError,), ModelError, "{hub} lists a file that it does not have"),
        (
            (errors.OfflineModeIsEnabled,),
            HubUnreachableError,
            "not here, and HF_HUB_OFFLINE is set: {otherwise}",
        ),
        ((errors.HfHubHTTPError,), HubUnreachableError, "{hub} answers {status}: {otherwise}"),
        ((httpx.HTTPError, ConnectionError), HubUnreachableError, away),
        ((ValueError, KeyError, TypeError), HubUnreachableError, "{hub} answers as no hub does: {otherwise}"),
    )


@contextmanager
def _translated(checkpoint: str, revision: str | None) -> Iterator[None]:
    """Turn what the library raises into one line that says what to do."""
    try:
        yield
    except tuple(kind for kinds, _, _ in _meanings() for kind in kinds) as error:
        meant, text = next((meant, text) for kinds, meant, text in _meanings() if isinstance(error, kinds))
        line = text.format(
            hub=constants.ENDPOINT,
            checkpoint=checkpoint,
            revision=revision,
            status=getattr(getattr(error, "response", None), "status_code", None),
            otherwise=f"use `--model starter` or a directory, or run `clap-monitor download {checkpoint}` "
            "where the hub can be reached",
        )
        raise meant(f"{checkpoint}: {line}") from error
    except OSError as error:
        if error.errno is None:  # the library's own: the size is not what was announced
            raise HubUnreachableError(f"{checkpoint}: the transfer broke off; download it again") from error
        raise ModelError(
            f"{checkpoint}: cannot be kept in {constants.HF_HUB_CACHE}: {error.strerror}"
        ) from error
