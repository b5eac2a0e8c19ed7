"""WebM stream: samples of one source, encoded with Opus as they come.

Browsers play it from a MediaSource, close to the newest audio, which they do not do with Ogg; mpv, VLC and
FFmpeg play it too.  A cluster is as short as a block, so that no audio waits for the rest of its cluster.
"""

from __future__ import annotations

from fractions import Fraction

from monitor.types import OutputError, Samples

MEDIA_TYPE = 'audio/webm; codecs="opus"'

BITS_PER_SECOND = 48_000
"""Of mono: transparent for speech, and good for any other sound (RFC 7587, section 3.1.1)."""

_OPUS_RATE = 48_000
_CLUSTER_MILLISECONDS = 100


class WebmStream:
    """Stream that begins with its first samples; used by one thread.

    Parameters
    ----------
    rate : int
        Hz, of the samples.

    Raises
    ------
    OutputError
        The installed PyAV cannot encode Opus.
    """

    def __init__(self, rate: int) -> None:
        import av  # noqa: PLC0415 - takes 16 MB, which only a listener needs
        import av.error  # noqa: PLC0415

        self._frame_of = av.AudioFrame.from_ndarray
        self._rate = rate
        self._position = 0
        self._file = _Parts()
        options = {"live": "1", "cluster_time_limit": str(_CLUSTER_MILLISECONDS), "flush_packets": "1"}
        try:
            self._container = av.open(self._file, "w", format="webm", options=options)
            self._stream = self._container.add_stream("libopus", rate=_OPUS_RATE, layout="mono")
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"listening: this PyAV cannot encode Opus: {error}") from error
        self._stream.bit_rate = BITS_PER_SECOND

    def add(self, samples: Samples) -> bytes:
        """Return the part of the stream that the next samples, shape (n,), complete."""
        frame = self._frame_of(samples[None, :], format="flt", layout="mono")
        frame.rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += len(samples)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        return self._file.take()


class _Parts:
    """File that can only be written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
