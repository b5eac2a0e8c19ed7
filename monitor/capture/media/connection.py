"""One connection to a stream: its sound, decoded, until it ends; and why it could not be had."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import av.error
from av.stream import Discard

from monitor.capture.media.decoding import Piece, frames
from monitor.capture.media.edge import TimeStamps
from monitor.config import Address
from monitor.config.address import ENCRYPTED
from monitor.types import SourceError

OPEN_SECONDS = 10.0
"""For the connection, and again for the first of the audio."""

READ_SECONDS = 5.0
"""Nothing for so long ends a connection: a server that hangs keeps it open."""

_RTSP = "rtsp,rtsps,tcp,tls,udp,rtp"
_HTTP = "http,https,tcp,tls"
_FORMATS = "rtsp,aac,flac,flv,matroska,webm,mov,mp4,mp3,mpegts,ogg,wav,asf,au,ac3,eac3,mpegps,mpeg"
"""Not among them: playlists, which name further addresses and are half a minute late."""

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_NO_SOUND = "it sends no sound that can be used"
_NO_ANSWER = f"it has not answered for {OPEN_SECONDS:g} s"
_WHY: dict[type[av.error.FFmpegError], str] = {
    av.error.HTTPNotFoundError: "it has no such stream (404)",
    av.error.EOFError: "it ended before any sound came",
    av.error.ExitError: _NO_ANSWER,
    av.error.TimeoutError: _NO_ANSWER,
    av.error.InvalidDataError: _NO_SOUND,
    av.error.DemuxerNotFoundError: _NO_SOUND,
    av.error.ArgumentError: _NO_SOUND,  # a playlist
}


class RefusedError(SourceError):
    """The login was refused; to try it again soon may lock us out."""


def sound_of(address: Address, channel: int | None) -> Generator[Piece]:
    """Connect, and decode what comes; close the iterator to close the connection.

    Pictures are not asked for (RTSP), or left alone undecoded.

    Parameters
    ----------
    address : Address
    channel : int or None
        From 1; None is the mean of all channels.

    Raises
    ------
    SourceError
        If it cannot be connected to, holds no sound, or ends; without anything secret.
    """
    stamps = TimeStamps()
    with _opened(address) as container:
        packets = _packets(address, container, _only_sound(address, container))
        yield from frames(
            packets,
            address.shown,
            channel,
            lambda frame: stamps.missing(frame.time, frame.samples / frame.sample_rate),
        )
    raise SourceError(f"{address.shown}: the stream has ended")


def _opened(address: Address) -> av.container.InputContainer:
    try:
        return av.open(
            address.with_login,
            options=_options(address),
            metadata_errors="replace",
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )
    except av.error.FFmpegError as error:
        raise _explained(address, error) from None  # which repeats the password


def _only_sound(address: Address, container: av.container.InputContainer) -> av.AudioStream:
    if not container.streams.audio:
        raise SourceError(f"{address.shown}: there is no sound in it")
    sound = container.streams.audio[0]
    for other in container.streams:
        if other is not sound:
            other.discard = Discard.all
    if sound.codec_context is None:
        raise SourceError(f"{address.shown}: its sound is of a kind that FFmpeg cannot decode")
    return sound


def _packets(
    address: Address, container: av.container.InputContainer, sound: av.AudioStream
) -> Iterator[av.packet.Packet[av.AudioStream]]:
    try:
        yield from container.demux(sound)
    except av.error.ExitError:
        raise SourceError(f"{address.shown}: nothing has come for {READ_SECONDS:g} s") from None
    except av.error.FFmpegError as error:
        raise SourceError(f"{address.shown}: the stream broke off: {error.strerror}") from None


def _options(address: Address) -> dict[str, str]:
    """What libav is told; a redirection or a playlist cannot lead it to a file of ours."""
    rtsp = address.scheme.startswith("rtsp")
    options = {
        "protocol_whitelist": _RTSP if rtsp else _HTTP,
        "format_whitelist": _FORMATS,
        "user_agent": "clap-monitor",
    }
    if rtsp:
        options |= {"rtsp_transport": address.transport, "allowed_media_types": "audio"}
    if address.scheme in ENCRYPTED:
        options["tls_verify"] = str(int(address.tls_verify))
        if bundle := _certificates(address):
            options["ca_file"] = bundle
    return options


def _certificates(address: Address) -> str | None:
    """Certificates to trust; the libav of PyAV's wheels does not find those of the system."""
    if address.ca_file is not None:
        return str(address.ca_file)
    found = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in found if path and Path(path).exists()), None)


def _explained(address: Address, error: av.error.FFmpegError) -> SourceError:
    """Say in plain words why there is no connection, which libav says in its own."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        if address.login is None:
            return SourceError(f"{address.shown}: it asks for a username and a password")
        return RefusedError(f"{address.shown}: it refuses the username or the password")
    why = next((words for kind, words in _WHY.items() if isinstance(error, kind)), f"{error.strerror}")
    if isinstance(error, av.error.HTTPOtherClientError) and address.scheme.startswith("rtsp"):
        why = "it has nothing to play: is there sound in this stream?"
    if error.errno == errno.EIO:
        why = _behind_input_output_error(address)
    return SourceError(f"{address.shown}: {why}")


def _behind_input_output_error(address: Address) -> str:
    try:
        socket.getaddrinfo(address.host, None)
    except OSError:
        return "the name of this host is not known"
    if address.scheme in ENCRYPTED:
        return "its certificate is not trusted (ca_file, tls_verify), or it does not speak TLS"
    return _NO_SOUND
