"""What is listened to, and for what: sources and labels.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

import math
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
from monitor.config.section import FilePath, HoursOfDay, Identifier, Prompt, Section, Title
from monitor.config.stream_address import ENCRYPTED, check_url
from monitor.config.validators import fault

KEYS_OF_KIND = {
    "microphone": ("device", "rate", "channel"),
    "file": ("path", "pace", "track", "channel"),
    "pcm": ("rate", "format", "channels", "channel"),
    "stream": (
        "url", "transport", "pictures", "username", "password_file", "password_env", "ca_file", "tls_verify",
        "track", "channel",
    ),
}  # fmt: skip
REQUIRED = {"file": "path", "pcm": "rate", "stream": "url"}


DeviceClass = Literal[
    "battery",
    "battery_charging",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "update",
    "vibration",
    "window",
]
"""What a binary sensor of Home Assistant can be about; it refuses an entity of any other class."""


class SourceConfig(Section):
    """One thing to listen to."""

    name: Identifier = Field(description="Name of the source, also in MQTT topics.")
    kind: Literal["microphone", "stream", "file", "pcm"] = Field(
        description="microphone (a sound card), stream (RTSP or HTTP, of a camera or a server), "
        "file (a sound file), or pcm (raw samples on standard input)."
    )
    device: Annotated[str | int | None, BeforeValidator(validators.check_sound_card)] = Field(
        default=None,
        description="microphone: part of the device's name, or its index (clap-monitor devices); "
        "unset: the system's default.",
    )
    url: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(check_url)]
        | None
    ) = Field(
        default=None,
        validate_default=True,
        repr=False,
        description="stream: its address, such as rtsp://camera/stream1, without user and password; "
        "{username} and {password} in it are filled in. Required there.",
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="stream: how RTSP is carried; tcp loses nothing on the way."
    )
    pictures: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="stream: whether a camera (RTSP) is asked for its pictures, too, which are dropped: auto "
        "(if it gives no sound without them), always or never.",
    )
    username: Annotated[str, StringConstraints(min_length=1, pattern=validators.USER)] | None = Field(
        default=None, description="stream: user; unset: anonymous."
    )
    password_file: FilePath | None = Field(
        default=None,
        description="stream: file whose first line is the password; a relative name is looked for among the "
        "systemd credentials first. Needs username.",
    )
    password_env: Annotated[str, StringConstraints(pattern=validators.ENVIRONMENT)] | None = Field(
        default=None,
        description="stream: environment variable that holds the password, instead of password_file.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="stream: certificates to trust, with rtsps and https; unset: those of the system.",
    )
    tls_verify: bool = Field(
        default=True,
        description="stream: whether the certificate must be trusted; false for a camera that made its own.",
    )
    path: FilePath | None = Field(
        default=None, validate_default=True, description="file: the sound file; required there."
    )
    pace: Literal["realtime", "fast"] = Field(
        default="realtime", description="file: realtime, or as fast as the model goes."
    )
    rate: int | None = Field(
        default=None,
        ge=1000,
        le=768_000,
        validate_default=True,
        description="pcm: samples per second, required. microphone: rate to ask for; unset: the model's.",
    )
    format: Literal["s16le", "s24le", "s32le", "f32le", "u8"] = Field(
        default="s16le", description="pcm: format of one sample."
    )
    track: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="file, stream: which of several audio tracks, from 1; unset: the one marked as default, "
        "else the first.",
    )
    channels: int = Field(default=1, ge=1, le=64, description="pcm: number of interleaved channels.")
    channel: int | None = Field(
        default=None, ge=1, le=64, description="Channel to listen to, from 1; unset: the mean of all."
    )

    gain_db: float = Field(
        default=0.0, ge=-60, le=60, description="Amplification, in dB; scores do not depend on it."
    )
    labels: Annotated[tuple[Identifier, ...], Field(strict=False)] | None = Field(
        default=None, min_length=1, max_length=200, description="Ids of the labels to listen for; unset: all."
    )
    hop_seconds: float | None = Field(
        default=None,
        ge=0.01,
        le=60,
        description="Time from one window to the next, at most a window; unset: window.hop_seconds.",
    )
    quiet_hours: Annotated[tuple[HoursOfDay, ...], Field(strict=False)] = Field(
        default=(),
        max_length=10,
        description="Hours of the day, such as 22:00-07:00, in which no event starts.",
    )
    enabled: bool = Field(default=True, description="Whether to listen to it.")

    @property
    def live(self) -> bool:
        """Whether it is heard as it happens, waited for when it is away, and never ends."""
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

    @field_validator("password_file", "password_env")
    @classmethod
    def _has_user(cls, value: Any, others: ValidationInfo) -> Any:
        return validators.check_secret(value, others)

    @field_validator("ca_file", "tls_verify")
    @classmethod
    def _is_encrypted(cls, value: Any, others: ValidationInfo) -> Any:
        url = others.data.get("url")
        if value not in {None, True} and url is not None and urlsplit(url).scheme not in ENCRYPTED:
            raise fault(f"is of use only with {' or '.join(f'{scheme}://' for scheme in ENCRYPTED)}")
        return value

    @field_validator("channel")
    @classmethod
    def _is_a_channel(cls, channel: int | None, others: ValidationInfo) -> int | None:
        if channel is not None and others.data.get("kind") == "pcm":
            channels = others.data.get("channels")
            if channels is not None and channel > channels:
                raise fault(f"{channel} is more than channels ({channels})")
        return channel


class LabelConfig(Section):
    """A sound to listen for."""

    id: Identifier = Field(description="Identifier, also in MQTT topics.")
    name: Title | None = Field(default=None, description="Name for people; unset: made from the id.")
    prompts: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        min_length=1,
        max_length=30,
        description="What it sounds like, in English sentences of a few words; phrasings are averaged.",
    )
    against: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        default=(),
        max_length=30,
        description="Other sounds that are mistaken for it; never one that contains it.",
    )
    threshold: float = Field(default=0.5, ge=0, le=1, description="Score from which it counts as heard.")
    release_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Score below which it is over; at most threshold. Unset: 0.15 below it, at least 0.",
    )
    confirm_seconds: float | None = Field(
        default=None,
        ge=0,
        le=60,
        description="How long it must be heard before an event starts: in k = confirm_seconds / hop_seconds "
        "windows (rounded up, at least 1) among the newest k + k // 2.  Unset: k is 2.",
    )
    min_duration_seconds: float = Field(
        default=0.0, ge=0, le=3600, description="Shorter events are not reported."
    )
    max_duration_seconds: float = Field(
        default=300.0, gt=0, le=86_400, validate_default=True, description="Longer events are ended."
    )
    merge_gap_seconds: float = Field(
        default=2.0, ge=0, le=600, description="An event that resumes within this time goes on."
    )
    cooldown_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Time after an event in which no other one of this label starts.",
    )
    enabled: bool = Field(default=True, description="Whether to listen for it.")
    device_class: DeviceClass = Field(
        default="sound", description="Device class of its binary sensor in Home Assistant."
    )
    clips: bool = Field(default=True, description="Whether to record it, if clips are enabled at all.")

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name or self.id.replace("_", " ").replace("-", " ").strip().capitalize()

    @property
    def release(self) -> float:
        """Score below which the sound counts as over, in [0, 1]."""
        if self.release_threshold is not None:
            return self.release_threshold
        return max(0.0, round(self.threshold - 0.15, 6))

    @field_validator("release_threshold")
    @classmethod
    def _is_below_threshold(cls, release: float | None, others: ValidationInfo) -> float | None:
        threshold = others.data.get("threshold")
        if release is not None and threshold is not None and release > threshold:
            raise fault(f"{release:g} is above threshold ({threshold:g}); an event would end as it starts")
        return release

    @field_validator("max_duration_seconds")
    @classmethod
    def _exceeds_minimum(cls, longest: float, others: ValidationInfo) -> float:
        shortest = others.data.get("min_duration_seconds")
        if shortest is not None and longest < shortest:
            raise fault(
                f"{longest:g} is below min_duration_seconds ({shortest:g}); no event could be reported"
            )
        return longest


def confirmations(confirm_seconds: float | None, hop_seconds: float) -> tuple[int, int]:
    """Windows that must hear a sound before its event starts, and among how many of the newest.

    Parameters
    ----------
    confirm_seconds : float or None
        Seconds, at least 0; None for 2 windows.
    hop_seconds : float
        Seconds from one window to the next, above 0.

    Returns
    -------
    hits, of : int
        ``of`` is half more than ``hits``: 1 of 1, 2 of 3, 3 of 4, 4 of 6.
    """
    if confirm_seconds is None:
        return 2, 3
    hits = max(1, math.ceil(confirm_seconds / hop_seconds - 1e-9))  # 1.1 / 0.1 is a little more than 11
    return hits, hits + hits // 2
