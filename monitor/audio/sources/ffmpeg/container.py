"""Container: an open sound file or stream, its audio tracks, its packets.

PyAV raises undocumented exceptions (`IndexError` for a track that appeared later, `KeyError` for a sample
format), depending on the content of a file or stream.  So every call into PyAV is made here, or in
`monitor.audio.sources.ffmpeg.decoder`, within `boundary`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import av
import av.error
from av.stream import Discard, Disposition

from monitor.system.boundary import boundary
from monitor.types import SourceError

Packet: TypeAlias = "av.packet.Packet[av.AudioStream]"
Refuse = Callable[[str], SourceError]
"""`SourceError`, or one of its kinds."""

RATES = range(1_000, 768_000 + 1)
"""Hz.  At a rate of 1 Hz, every sample would become 48,000: a small file would fill gigabytes."""

MOST_CHANNELS = 64

LIMITS = {"max_samples": "4000000"}
"""Options of FFmpeg: a frame of more samples (83 s at 48 kHz) is refused before it is allocated."""

_LARGEST_PACKET = 64 << 20
"""Bytes.  Larger packets are dropped: they would be many times larger when decoded."""


@contextmanager
def opened(
    connect: Callable[[], av.container.InputContainer], where: str
) -> Iterator[av.container.InputContainer]:
    """Open a container, and close it at the end.

    ``connect`` calls `av.open`, and may raise a `SourceError` with a better message; ``where`` names in
    messages what is opened.

    Raises
    ------
    SourceError
        If it cannot be opened or closed.
    """
    with boundary(SourceError, where):
        container = connect()
    try:
        yield container
    finally:
        with boundary(SourceError, where):
            container.close()


def audio_track(
    container: av.container.InputContainer, wanted: int | None, where: str, refuse: Refuse = SourceError
) -> av.AudioStream:
    """Choose the audio track; all other tracks are dropped undecoded from now on.

    ``wanted`` is the number among the audio tracks, from 1; None: the first that is marked as default, else
    the first.  ``where`` names in messages what is open; ``refuse`` makes the error from a message.

    Raises
    ------
    SourceError
        If there is no such track, FFmpeg cannot decode it, or its rate or channels are not plausible.
    """
    with boundary(refuse, where):
        tracks = container.streams.audio
        if not tracks:
            raise refuse(f"{where}: contains no audio")
        if wanted is not None and wanted > len(tracks):
            raise refuse(f"{where}: has {len(tracks)} audio tracks, so no track {wanted}")
        usable = [track for track in tracks if track.codec_context is not None]
        marked = [track for track in usable if Disposition.default in Disposition(track.disposition)]
        track = tracks[wanted - 1] if wanted is not None else (marked or usable or list(tracks))[0]
        if track.codec_context is None:
            raise refuse(f"{where}: FFmpeg cannot decode its audio codec")
        rate, channels = track.codec_context.sample_rate, track.codec_context.layout.nb_channels
        if why := implausible(rate, channels):
            raise refuse(f"{where}: {why}")
        track.codec_context.options = {**track.codec_context.options, **LIMITS}
        for other in container.streams:
            if other is not track:
                other.discard = Discard.all
        return track


def implausible(rate: int, channels: int) -> str | None:
    """Return what is implausible; None if nothing is. 0: not known yet."""
    if rate and rate not in RATES:
        return f"claims {rate} Hz, which is not between {RATES[0]} and {RATES[-1]}"
    if channels > MOST_CHANNELS:
        return f"claims {channels} channels, which is more than {MOST_CHANNELS}"
    return None


def packets(
    container: av.container.InputContainer,
    track: av.AudioStream,
    where: str,
    explain: Callable[[av.error.FFmpegError], SourceError],
) -> Iterator[Packet]:
    """Yield the packets of one track; the last one is empty and flushes the decoder.

    ``where`` names in messages what is read; ``explain`` makes our error from one of FFmpeg.

    Raises
    ------
    SourceError
        If it cannot be read any further.
    """
    with boundary(SourceError, where):
        demuxed = container.demux(track)
    while True:
        with boundary(SourceError, where):
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError as error:
                raise explain(error) from None  # its text may repeat a password
            except IndexError:
                # At the end PyAV flushes every track, but does not know one that appeared later.  Ours was
                # there before and has been flushed.
                return
        if packet is None:
            return
        if packet.size <= _LARGEST_PACKET:
            yield packet
