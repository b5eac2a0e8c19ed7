"""Hub errors: one line for everything that can go wrong with a download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from monitor.model.hub_listing import NoHubError
from monitor.model.transfer import BrokenOffError, StatusError, UnfitAnswerError
from monitor.system.boundary import explain
from monitor.types import ExitCode, ModelError

_NOT_FOUND = frozenset({401, 404})

_REASONS = {
    "GatedRepo": "its owners must grant access first: see {hub}/{checkpoint}",
    "RevisionNotFound": "no revision {revision} on {hub}",
    "EntryNotFound": "{hub} lists a file that does not exist",
    "RepoNotFound": "no such directory, and no public checkpoint on {hub}",
}
"""Meaning of the error codes of the hub."""


class HubUnreachableError(ModelError):
    """A checkpoint is not on this machine and cannot be downloaded now."""

    exit_code = ExitCode.UNREACHABLE


class OfflineError(Exception):
    """HF_HUB_OFFLINE forbids network access."""


@contextmanager
def translated(checkpoint: str, revision: str | None, hub: str, cache: str) -> Iterator[None]:
    """Turn errors into one line that says what to do; ``hub`` is a URL, ``cache`` a directory.

    Raises
    ------
    HubUnreachableError
        The hub cannot be reached, or does not answer like a hub.
    ModelError
        The hub refuses, its answer is invalid, or the cache cannot be written.
    """
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
            raise HubUnreachableError(
                f"{checkpoint}: {hub} answers with HTTP status {error.status}: {otherwise}"
            ) from error
        line = reason.format(hub=hub, checkpoint=checkpoint, revision=revision)
        raise ModelError(f"{checkpoint}: {line}") from error
    except OfflineError as error:
        raise HubUnreachableError(
            f"{checkpoint}: not in the cache, and HF_HUB_OFFLINE is set: {otherwise}"
        ) from error
    except BrokenOffError as error:
        raise HubUnreachableError(f"{checkpoint}: {hub} cannot be reached: {otherwise}") from error
    except NoHubError as error:
        raise HubUnreachableError(f"{checkpoint}: unexpected response from {hub}: {otherwise}") from error
    except UnfitAnswerError as error:
        raise ModelError(
            f"{checkpoint}: {hub} {error}: nothing was saved; download it again, or look for a proxy "
            "that changes the answers of the hub"
        ) from error
    except OSError as error:
        raise ModelError(f"{checkpoint}: cannot be saved in {cache}: {explain(error)}") from error
