"""What can be configured: frozen models with the default, the range and the meaning of every key.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WrapValidator,
    field_validator,
    model_validator,
)

from monitor.config import validators
from monitor.config.alerts import HookConfig, NotifyConfig, validate_alerts
from monitor.config.default_labels import BACKGROUND, SOUNDS
from monitor.config.section import FilePath, Identifier, Prompt, Section
from monitor.config.sources import LabelConfig, SourceConfig
from monitor.config.validators import fault
from monitor.config.web import MetricsConfig, WebConfig


class ModelConfig(Section):
    """The CLAP checkpoint, and what it runs on."""

    checkpoint: str = Field(
        default="starter",
        min_length=1,
        description="The embedded checkpoint (starter), a local directory, or a hub id such as "
        "laion/larger_clap_general (fetch it first: clap-monitor download).",
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="Commit, tag or branch of a hub checkpoint; unset: the downloaded one.",
    )
    device: Annotated[str, StringConstraints(pattern=validators.DEVICE)] = Field(
        default="auto", description="auto, cpu, cuda, cuda:0, mps; auto takes a GPU if there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        default="auto",
        description="Number format of the weights; auto: float32, or bfloat16 if that is measured to be "
        "faster; int8: the cheapest for large checkpoints on a CPU, less exact, so auto never chooses it.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="CPU threads of the model; more than are idle makes it slower.  Unset: 1, or as many "
        "of the free cores as are needed to keep up.",
    )


class WindowConfig(Section):
    """How much audio is scored at once, and how often."""

    seconds: float | None = Field(
        default=None,
        ge=0.1,
        le=60,
        description="Length of a window; must divide the checkpoint's own length. "
        "Unset: 5, or the checkpoint's own length if that is shorter.",
    )
    hop_seconds: float | None = Field(
        default=None,
        ge=0.01,
        le=60,
        description="Time from one window to the next.  Unset: 1, or half a window if that is shorter.",
    )
    reuse_seconds: float = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="How long the last scores stand while nothing new is heard and nothing is going on; "
        "60 makes most days far cheaper and misses some faint sounds; 0: every window is scored.",
    )

    @field_validator("hop_seconds")
    @classmethod
    def _hears_everything(cls, hop: float | None, others: ValidationInfo) -> float | None:
        seconds = others.data.get("seconds")
        if hop is not None and seconds is not None and hop > seconds:
            raise fault(f"{hop:g} is more than seconds ({seconds:g}); audio between windows would be unheard")
        return hop

    def hop(self, window_seconds: float) -> float:
        """Seconds from one window to the next, for windows of this length."""
        return min(1.0, window_seconds / 2) if self.hop_seconds is None else self.hop_seconds


class MqttConfig(Section):
    """The broker that is told; the password is never written here."""

    host: Annotated[str, StringConstraints(max_length=253), AfterValidator(validators.check_host)] | None = (
        Field(default=None, description="Name or IP address of the broker; unset: no MQTT.")
    )
    port: int = Field(default=1883, ge=1, le=65_535, description="Port of the broker; usually 8883 with tls.")
    tls: bool = Field(default=False, description="Whether to encrypt the connection.")
    ca_file: FilePath | None = Field(
        default=None, description="Certificates to trust; unset: those of the system. Needs tls."
    )
    cert_file: FilePath | None = Field(
        default=None, description="Certificate to show to the broker; unset: none. Needs tls."
    )
    key_file: FilePath | None = Field(
        default=None,
        description="Its private key, without a passphrase; a relative name is looked for among the systemd "
        "credentials first. Unset: it is in cert_file.",
    )
    username: str | None = Field(default=None, min_length=1, description="User; unset: anonymous.")
    password_file: FilePath | None = Field(
        default=None,
        description="File whose first line is the password; a relative name is looked for among the systemd "
        "credentials first. Needs username.",
    )
    password_env: Annotated[str, StringConstraints(pattern=validators.ENVIRONMENT)] | None = Field(
        default=None, description="Environment variable that holds the password, instead of password_file."
    )
    client_id: str | None = Field(
        default=None, min_length=1, max_length=100, description="MQTT client id; unset: clap-monitor-NODE."
    )
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(validators.check_version)] = Field(
        default="auto",
        description="Version of MQTT: 5 says what is refused, 3.1.1 does not; auto: 5, else 3.1.1.",
    )
    base_topic: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(validators.check_base_topic)
    ] = Field(default="clap-monitor", description="First part of every topic.")
    commands: bool = Field(
        default=True,
        description="Whether those who may publish to the broker may switch listening, and change thresholds "
        "and labels.",
    )
    discovery: bool = Field(
        default=True, description="Whether to tell Home Assistant which entities there are."
    )
    discovery_prefix: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(validators.check_base_topic)
    ] = Field(default="homeassistant", description="First part of the topics of Home Assistant's discovery.")
    qos: Annotated[Literal[0, 1, 2], BeforeValidator(validators.check_whole)] = Field(
        default=1, description="Delivery: 0 at most once, 1 at least once, 2 exactly once."
    )
    keepalive_seconds: int = Field(
        default=30, ge=5, le=3600, description="Time after which a silent connection is checked."
    )
    keep_days: float = Field(
        default=7.0,
        gt=0,
        le=3650,
        description="How long an event waits for the broker; older ones are dropped.",
    )
    keep_megabytes: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Size of all events that wait; the oldest are dropped beyond it.",
    )

    @field_validator("ca_file", "cert_file")
    @classmethod
    def _has_tls(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("tls") is False:
            raise fault("is of use only with tls: true")
        return path

    @field_validator("key_file")
    @classmethod
    def _has_certificate(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("cert_file", "") is None:
            raise fault("is of use only with a cert_file")
        return path

    @field_validator("password_file", "password_env")
    @classmethod
    def _has_user(cls, value: Any, others: ValidationInfo) -> Any:
        return validators.check_secret(value, others)


class ClipsConfig(Section):
    """Short recordings of events."""

    enabled: bool = Field(default=False, description="Whether to record clips at all; off for privacy.")
    format: Literal["flac", "wav", "opus"] = Field(
        default="flac",
        description="flac (exact, half the size), wav (exact), or opus (a tenth of it, nearly as good).",
    )
    before_seconds: float = Field(default=5.0, ge=0, le=30, description="Audio kept from before the event.")
    after_seconds: float = Field(default=5.0, ge=0, le=30, description="Audio kept from after its end.")
    max_seconds: float = Field(
        default=30.0,
        ge=1,
        le=45,
        description="Length of a clip at most; of a longer event it is the beginning.",
    )
    speech_guard: bool = Field(
        default=True,
        description="Whether to keep no clip in which people are heard speaking; the event is kept.",
    )
    readable_by: Literal["owner", "group", "everyone"] = Field(
        default="owner",
        description="Who on this machine may read new clips beside the user of the monitor: nobody (owner), "
        "the group of the directory, or everyone.",
    )
    public_url: Annotated[str, StringConstraints(pattern=validators.URL, max_length=500)] | None = Field(
        default=None,
        description="Where the recordings can be fetched, http(s)://...: links in messages begin with it. "
        "Unset: messages name the path below recordings.",
    )
    keep_days: float = Field(default=30.0, gt=0, le=36_500, description="Age at which clips are deleted.")
    max_megabytes: int = Field(
        default=1000, ge=1, le=10_000_000, description="Size of all clips; the oldest are deleted beyond it."
    )
    free_megabytes: int = Field(
        default=500,
        ge=0,
        le=10_000_000,
        description="Free space to be left on the disk; clips are deleted, and none is written, below it.",
    )
    keep_per_label: int = Field(
        default=5,
        ge=0,
        le=10_000,
        description="The newest clips of each label that neither age nor size deletes.",
    )

    @field_validator("max_seconds")
    @classmethod
    def _holds_some_of_the_event(cls, longest: float, others: ValidationInfo) -> float:
        before = others.data.get("before_seconds")
        if before is not None and longest <= before:
            raise fault(
                f"{longest:g} is not more than before_seconds ({before:g}); no clip would hold its event"
            )
        return longest


class StoreConfig(Section):
    """What happened, kept for looking back: numbers and names, no sound."""

    enabled: bool = Field(default=True, description="Whether to keep events, near misses and scores.")
    keep_days: float = Field(
        default=365.0, gt=0, le=36_500, description="How long events are kept; longer while their clip is."
    )
    keep_misses_days: float = Field(
        default=30.0, gt=0, le=36_500, description="How long near misses are kept."
    )
    keep_minutes_days: float = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="How long the highest score and level of each minute are kept.",
    )
    max_megabytes: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Size of all of it; beyond it the oldest are deleted: near misses, minutes, then events.",
    )


def _sources(value: object, validate: Callable[[Any], Any]) -> Any:
    found = [*validators.repeated(value, "name", "sources"), *validators.readers_of_standard_input(value)]
    return validators.with_faults(value, validate, found)


def _labels(value: object, validate: Callable[[Any], Any]) -> Any:
    return validators.with_faults(value, validate, validators.repeated(value, "id", "labels"))


def _hooks(value: object, validate: Callable[[Any], Any], others: ValidationInfo) -> Any:
    return validate_alerts(value, validate, what="hooks", labels=others.data.get("labels", ()))


def _notify(value: object, validate: Callable[[Any], Any], others: ValidationInfo) -> Any:
    return validate_alerts(value, validate, what="notify", labels=others.data.get("labels", ()))


class Config(Section):
    """Everything the monitor can be told; the defaults are a working monitor of one microphone."""

    node: Identifier = Field(default="home", description="Name of this monitor, also in MQTT topics.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much is logged: debug, info, warning, error."
    )
    model: ModelConfig = Field(default=ModelConfig(), description="The CLAP checkpoint, and what it runs on.")
    window: WindowConfig = Field(
        default=WindowConfig(), description="How much audio is scored at once, and how often."
    )
    sources: Annotated[tuple[SourceConfig, ...], WrapValidator(_sources), Field(strict=False)] = Field(
        default=(SourceConfig(name="microphone", kind="microphone"),),
        min_length=1,
        max_length=32,
        description="What to listen to.",
    )
    silence_dbfs: float = Field(
        default=-70.0,
        ge=-200,
        le=0,
        description="Windows quieter than this, in dB of full scale, are not scored.",
    )
    background: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        default=BACKGROUND,
        max_length=100,
        description="Sounds that are no event, for all labels; never one that contains a label's sound.",
    )
    labels: Annotated[tuple[LabelConfig, ...], WrapValidator(_labels), Field(strict=False)] = Field(
        default=tuple(LabelConfig(id=key, prompts=prompts) for key, prompts in SOUNDS.items()),
        min_length=1,
        max_length=200,
        description="The sounds to listen for.",
    )
    mqtt: MqttConfig = Field(
        default=MqttConfig(), description="The broker that is told; the password is never written here."
    )
    store: StoreConfig = Field(
        default=StoreConfig(),
        description="What happened, kept for looking back: numbers and names, no sound.",
    )
    clips: ClipsConfig = Field(default=ClipsConfig(), description="Short recordings of events.")
    notify: Annotated[tuple[NotifyConfig, ...], WrapValidator(_notify), Field(strict=False)] = Field(
        default=(), max_length=20, description="People to notify through Apprise; needs the extra `notify`."
    )
    hooks: Annotated[tuple[HookConfig, ...], WrapValidator(_hooks), Field(strict=False)] = Field(
        default=(), max_length=20, description="Commands to run when a sound starts or ends."
    )
    web: WebConfig = Field(
        default=WebConfig(), description="The web page and its API; the token is never written here."
    )
    metrics: MetricsConfig = Field(
        default=MetricsConfig(),
        description="Metrics for Prometheus at a port of their own; the page has them as well.",
    )
    recordings: FilePath = Field(default=Path("recordings"), description="Directory of the clips.")
    state: FilePath = Field(default=Path("state"), description="Directory of what is kept across restarts.")

    @property
    def enabled_sources(self) -> tuple[SourceConfig, ...]:
        """What is listened to."""
        return tuple(source for source in self.sources if source.enabled)

    @model_validator(mode="wrap")
    @classmethod
    def _knows_its_labels(cls, value: object, validate: Callable[[Any], Config]) -> Config:
        validated: Config = validators.with_faults(value, validate, validators.unknown_labels(value, SOUNDS))
        return validated
