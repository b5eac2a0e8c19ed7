"""Connection to a stream: its decoded audio until it ends, and the reason if there is none."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import av.error

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.ffmpeg.container import LIMITS, audio_track, opened, packets
from monitor.audio.sources.ffmpeg.decoder import blocks_of
from monitor.audio.sources.ffmpeg.live_edge import TimeStamps, rested
from monitor.config import Address
from monitor.config.stream_address import ENCRYPTED
from monitor.types import OfflineReason, SourceError

OPEN_SECONDS = 10.0
"""For the connection, and again for the first of the audio."""

READ_SECONDS = 5.0
"""Nothing for so long ends a connection: a server that hangs keeps it open."""

_MOST_TRACKS = "100"

_ALL_TRACKS = {"analyzeduration": "1000000"}
"""Microseconds, instead of 5 s, for which FFmpeg analyses the video before it passes on audio."""

_SOUND_ALONE = {"allowed_media_types": "audio", "max_ts_probe": "0"}
"""FFmpeg opens the stream without waiting for audio, so `READ_SECONDS` applies, not `OPEN_SECONDS`."""

_TRANSPORT = {
    "tcp": {"rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"},
    "udp": {"rtsp_transport": "udp+tcp"},
}
"""If a server refuses the first one as unsupported (461), FFmpeg tries the other in the same session."""

_RTSP = "rtsp,rtsps,tcp,tls,udp,rtp"
_HTTP = "http,https,tcp,tls"
_FORMATS = "rtsp,aac,flac,flv,matroska,webm,mov,mp4,mp3,mpegts,ogg,wav,asf,au,ac3,eac3,mpegps,mpeg"
"""Without playlists, which name further addresses and are half a minute late."""

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_PROBE_SECONDS = 1.0
_ABSENT = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)

_NO_SOUND = "it sends no usable audio"
_NO_TRUST = "its certificate is not trusted (ca_file, tls_verify), or it does not speak TLS"
_NO_ANSWER = f"it has not answered for {OPEN_SECONDS:g} s"
_WHY: dict[type[av.error.FFmpegError], str] = {
    av.error.HTTPNotFoundError: "it has no such stream (404)",
    av.error.EOFError: "it ended before any audio arrived",
    av.error.ExitError: _NO_ANSWER,
    av.error.TimeoutError: _NO_ANSWER,
    av.error.InvalidDataError: _NO_SOUND,
    av.error.DemuxerNotFoundError: _NO_SOUND,
    av.error.ArgumentError: _NO_SOUND,  # a playlist
}


class RefusedError(SourceError):
    """The login was refused; another attempt soon may lock us out."""

    reason = OfflineReason.LOGIN


class ForbiddenError(SourceError):
    """Access is forbidden (403), to this user or to audio alone."""

    reason = OfflineReason.LOGIN


class AbsentError(SourceError):
    """The host or server is absent: requesting other tracks would not help."""

    reason = OfflineReason.NOT_FOUND


def sound_of(
    address: Address, channel: int | None, lengths: BlockLengths, ended: threading.Event, *, pictures: bool
) -> Generator[CapturedAudio]:
    """Connect, and yield the decoded audio in blocks; close the iterator to close the connection.

    No block takes long to come once ``ended`` is set.

    With ``pictures``, all tracks are requested over RTSP, not only audio.  Video is dropped undecoded, as it
    is over HTTP, which always sends it.  ``channel`` counts from 1; None is the mean of all channels.

    Raises
    ------
    SourceError
        If there is no connection or no audio, or the stream ends; the message holds no secret.
    """
    stamps = TimeStamps()
    with opened(partial(_connect, address, pictures), address.shown) as container:
        track = audio_track(container, address.track, address.shown)
        blocks = blocks_of(
            packets(container, track, address.shown, partial(_broken_off, address)),
            address.shown,
            channel,
            lambda frame: stamps.missing(frame.time, frame.samples / frame.sample_rate),
            lengths,
        )
        # Video would not fit into the system's buffer.
        yield from blocks if container.streams.video else rested(blocks, lengths.seconds, ended)
    raise SourceError(f"{address.shown}: the stream has ended", OfflineReason.LOST)


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What a stream sends."""

    codec: str
    """As FFmpeg calls it."""
    rate: int
    """Hz; 0: not known before the first audio."""
    channels: int


def format_of(address: Address, *, pictures: bool) -> SoundFormat:
    """Connect, and return the format of the audio track that `sound_of` would decode; raises as it does."""
    with opened(partial(_connect, address, pictures), address.shown) as container:
        codec = audio_track(container, address.track, address.shown).codec_context
        return SoundFormat(codec.name, codec.sample_rate, codec.layout.nb_channels)


def _connect(address: Address, pictures: bool) -> av.container.InputContainer:  # noqa: FBT001
    try:
        return av.open(
            address.with_login,
            options=_options(address, pictures),
            metadata_errors="replace",
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )
    except av.error.FFmpegError as error:
        raise _explained(address, error) from None  # its text repeats the password


def _broken_off(address: Address, error: av.error.FFmpegError) -> SourceError:
    if isinstance(error, av.error.ExitError):
        return SourceError(
            f"{address.shown}: nothing has arrived for {READ_SECONDS:g} s", OfflineReason.NO_DATA
        )
    return SourceError(f"{address.shown}: the stream broke off: {error.strerror}", OfflineReason.LOST)


def _options(address: Address, pictures: bool) -> dict[str, str]:  # noqa: FBT001
    """Return the options for libav; a redirection or a playlist must not lead it to a local file."""
    rtsp = address.scheme.startswith("rtsp")
    options = {
        "protocol_whitelist": _RTSP if rtsp else _HTTP,
        "format_whitelist": _FORMATS,
        "user_agent": "clap-monitor",
        "max_streams": _MOST_TRACKS,
        **LIMITS,
    }
    if rtsp:
        options |= _TRANSPORT[address.transport]
        options |= _ALL_TRACKS if pictures else _SOUND_ALONE
    if address.scheme in ENCRYPTED:
        options["tls_verify"] = str(int(address.tls_verify))
        if bundle := _certificates(address):
            options["ca_file"] = bundle
    return options


def _certificates(address: Address) -> str | None:
    """Return the trusted certificates; the libav of PyAV's wheels does not find those of the system."""
    if address.ca_file is not None:
        return str(address.ca_file)
    found = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in found if path and Path(path).exists()), None)


def _explained(address: Address, error: av.error.FFmpegError) -> SourceError:
    if isinstance(error, av.error.HTTPUnauthorizedError):
        if address.login is None:
            return SourceError(f"{address.shown}: it asks for a username and a password", OfflineReason.LOGIN)
        return RefusedError(f"{address.shown}: it refuses the username or the password")
    if error.errno in _ABSENT:
        return AbsentError(f"{address.shown}: {_words(address, error)}")
    if error.errno == errno.EIO and not _is_known(address):
        return AbsentError(f"{address.shown}: its host name is unknown")
    if isinstance(error, av.error.ExitError) and not _accepts(address):
        return AbsentError(f"{address.shown}: {_NO_ANSWER}")
    kind = ForbiddenError if isinstance(error, av.error.HTTPForbiddenError) else SourceError
    return kind(f"{address.shown}: {_words(address, error)}")


def _words(address: Address, error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.HTTPOtherClientError) and address.scheme.startswith("rtsp"):
        return "it has nothing to play: does this stream contain audio?"
    if error.errno == errno.EIO:
        return _NO_TRUST if address.scheme in ENCRYPTED else _NO_SOUND
    return next((words for kind, words in _WHY.items() if isinstance(error, kind)), f"{error.strerror}")


def _is_known(address: Address) -> bool:
    try:
        socket.getaddrinfo(address.host, None)
    except (OSError, UnicodeError):
        return False
    return True


def _accepts(address: Address) -> bool:
    try:
        with socket.create_connection((address.host, address.port), _PROBE_SECONDS):
            return True
    except (OSError, UnicodeError):
        return False
