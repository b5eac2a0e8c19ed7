"""Devices: microphones, chosen by name or index."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.types import OfflineReason, SourceError


@dataclass(frozen=True, slots=True)
class Device:
    """Microphone in the list of PortAudio."""

    index: int
    name: str
    host_api: str
    channels: int
    """Highest number of input channels."""
    rate: float
    """Default rate, Hz."""
    default: bool


def choose(found: list[Device], wanted: str | int | None) -> Device:
    """Return the device with this name, part of a name (in any case) or index; None: the default.

    A full match comes before a partial one.

    Raises
    ------
    SourceError
        If there is none, or more than one.
    """
    if not found:
        raise SourceError(
            "there is no microphone: is one connected, and is this user in the group `audio`?",
            OfflineReason.NOT_FOUND,
        )
    if wanted is None:
        return next((device for device in found if device.default), found[0])
    if isinstance(wanted, int):
        matches = [device for device in found if device.index == wanted]
    else:
        part = wanted.casefold()
        matches = [device for device in found if device.name.casefold() == part]
        matches = matches or [device for device in found if part in device.name.casefold()]
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(f"{device.index} {device.name!r}" for device in matches or found)
    if matches:
        raise SourceError(
            f"{wanted!r} matches several microphones; use a longer part of the name: {listed}",
            OfflineReason.NOT_FOUND,
        )
    raise SourceError(f"no microphone is called {wanted!r}; found: {listed}", OfflineReason.NOT_FOUND)
