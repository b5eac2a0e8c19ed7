"""What can be configured: frozen models with the default, the range and the meaning of every key.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
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
from monitor.config.labels import LabelConfig
from monitor.config.mqtt_broker import MqttConfig
from monitor.config.section import FilePath, Identifier, Prompt, Section
from monitor.config.sources import SourceConfig
from monitor.config.storage import ClipsConfig, StoreConfig
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
