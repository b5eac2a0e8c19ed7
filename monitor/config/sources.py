"""Audio sources: microphones, network streams, sound files and raw samples.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from monitor.config import validators
from monitor.config.section import FilePath, HoursOfDay, Identifier, Section, Variable
from monitor.config.stream_address import ENCRYPTED, check_url
from monitor.config.validators import fault

KEYS_OF_KIND = {
    "microphone": ("device", "rate", "channel"),
    "file": ("path", "pace", "track", "channel"),
    "pcm": ("rate", "format", "channels", "channel"),
    "stream": (
        "url", "transport", "video", "username", "password_file", "password_env", "ca_file", "tls_verify",
        "track", "channel",
    ),
}  # fmt: skip
REQUIRED = {"file": "path", "pcm": "rate", "stream": "url"}


class SourceConfig(Section):
    """Audio source: a microphone, a network stream, a sound file or raw samples."""

    name: Identifier = Field(description="Name of the source, also in MQTT topics.")
    kind: Literal["microphone", "stream", "file", "pcm"] = Field(
        description="Kind of source: microphone (a sound card), stream (RTSP or HTTP, from a camera or a "
        "server), file (a sound file) or pcm (raw samples on standard input)."
    )
    device: Annotated[str | int | None, BeforeValidator(validators.check_sound_card)] = Field(
        default=None,
        description="microphone: part of the device's name, or its index, as listed by clap-monitor "
        "devices. A name survives replugging, an index may not. Unset: the system's default device.",
    )
    url: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(check_url)]
        | None
    ) = Field(
        default=None,
        validate_default=True,
        repr=False,
        description="stream: URL without user and password (required), such as rtsp://camera/stream1. "
        "{username} and {password} in it are replaced, for cameras that take them in the URL.",
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp",
        description="stream: transport protocol of RTSP. tcp loses no packets; use udp only if the camera "
        "does not support tcp.",
    )
    video: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="stream: request the video of an RTSP camera too; it is dropped undecoded. auto: only "
        "if the camera sends no audio without it, which takes up to 5 s to find out.",
    )
    username: Annotated[str, StringConstraints(min_length=1, pattern=validators.USER)] | None = Field(
        default=None, description="stream: user name. Unset: anonymous."
    )
    password_file: FilePath | None = Field(
        default=None,
        description="stream: file that holds only the password; a relative path is first looked up among "
        "the systemd credentials. Needs username.",
    )
    password_env: Variable | None = Field(
        default=None,
        description="stream: environment variable that holds the password, instead of password_file.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="stream: file of the CA certificates to trust, with rtsps and https. Unset: the "
        "system's certificates.",
    )
    tls_verify: bool = Field(
        default=True,
        description="stream: verify the server's certificate. Set it to false for a camera with a "
        "self-signed certificate.",
    )
    path: FilePath | None = Field(
        default=None,
        validate_default=True,
        description="file: path of the sound file (required); any common format, but not a pipe or a device.",
    )
    pace: Literal["realtime", "fast"] = Field(
        default="realtime",
        description="file: playback speed: realtime, or fast (as fast as the model can score).",
    )
    rate: int | None = Field(
        default=None,
        ge=1000,
        le=768_000,
        validate_default=True,
        description="pcm: sample rate in Hz (required). microphone: sample rate to request; unset: the "
        "model's rate.",
    )
    format: Literal["s16le", "s24le", "s32le", "f32le", "u8"] = Field(
        default="s16le", description="pcm: sample format."
    )
    track: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="file, stream: audio track, counted from 1. Unset: the default track, or the first if "
        "none is marked as default.",
    )
    channels: int = Field(default=1, ge=1, le=64, description="pcm: number of interleaved channels.")
    channel: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Channel to use, counted from 1. Several sources can use different channels of one "
        "device. Unset: the mean of all channels.",
    )

    gain_db: float = Field(
        default=0.0,
        ge=-60,
        le=60,
        description="Gain, in dB, for clips and levels. It does not change the scores, which are computed "
        "at a fixed level.",
    )
    labels: Annotated[tuple[Identifier, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Ids of the labels to detect at this source. Unset: all labels.",
    )
    hop_seconds: float | None = Field(
        default=None,
        ge=0.01,
        le=60,
        description="Time from one window to the next at this source, in seconds; at most the length of a "
        "window. Unset: window.hop_seconds.",
    )
    quiet_hours: Annotated[tuple[HoursOfDay, ...], Field(strict=False)] = Field(
        default=(),
        max_length=10,
        description="Times of day at which no event starts at this source, such as 22:00-07:00; an event "
        "that has started continues.",
    )
    enabled: bool = Field(default=True, description="Use this source.")

    @property
    def live(self) -> bool:
        """Whether the source is live: it never ends, and is reconnected when it is offline."""
        return self.kind in {"microphone", "stream"}

    @field_validator(
        "device", "path", "pace", "rate", "format", "channels", "channel", *KEYS_OF_KIND["stream"][:-1]
    )
    @classmethod
    def _belongs_to_kind(cls, value: Any, others: ValidationInfo) -> Any:
        kind = others.data.get("kind")
        if kind is None:
            return value
        keys = KEYS_OF_KIND[kind]
        if value is None and others.field_name == REQUIRED.get(kind):
            raise fault(f"is missing; a source of kind {kind} needs it")
        if value is not None and others.field_name not in keys:
            raise fault(f"does not belong to kind {kind}, whose own keys are {', '.join(keys)}")
        return value

    _has_user = field_validator("password_file", "password_env")(validators.check_password)

    @field_validator("ca_file", "tls_verify")
    @classmethod
    def _is_encrypted(cls, value: Any, others: ValidationInfo) -> Any:
        url = others.data.get("url")
        if value not in {None, True} and url is not None and urlsplit(url).scheme not in ENCRYPTED:
            raise fault(f"needs {' or '.join(f'{scheme}://' for scheme in ENCRYPTED)}")
        return value

    @field_validator("channel")
    @classmethod
    def _is_a_channel(cls, channel: int | None, others: ValidationInfo) -> int | None:
        if channel is not None and others.data.get("kind") == "pcm":
            channels = others.data.get("channels")
            if channels is not None and channel > channels:
                raise fault(f"{channel} is more than channels ({channels})")
        return channel
