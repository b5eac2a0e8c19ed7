"""Which microphone is meant."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.types import OfflineReason, SourceError


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone, as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    """Highest number of input channels."""
    rate: float
    """Hz, its own."""
    default: bool


def choose(found: list[Device], wanted: str | int | None) -> Device:
    """Find the device that is meant by part of its name (in any case), its index, or None: the default.

    A whole name comes before part of another.

    Raises
    ------
    SourceError
        If there is none or, by name, more than one.
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
            f"{wanted!r} is in the names of several microphones, give more of it: {listed}",
            OfflineReason.NOT_FOUND,
        )
    raise SourceError(f"no microphone is called {wanted!r}, there are: {listed}", OfflineReason.NOT_FOUND)
