"""Configuration models: the model, the windows, and the root of all sections.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
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
from monitor.config.fleet_following import FleetConfig
from monitor.config.labels import LabelConfig
from monitor.config.mqtt_broker import MqttConfig
from monitor.config.prompt_packs import PackName, with_packs
from monitor.config.section import MOST_SOURCES, FilePath, Identifier, Prompt, Section
from monitor.config.sources import SourceConfig
from monitor.config.storage import ClipsConfig, MemoryConfig, StoreConfig
from monitor.config.unusual import UNUSUAL, UnusualConfig
from monitor.config.validators import fault
from monitor.config.web import MetricsConfig, WebConfig


class ModelConfig(Section):
    """The CLAP checkpoint, and how it runs."""

    checkpoint: str = Field(
        default="starter",
        min_length=1,
        description="CLAP checkpoint: starter (small, included in the package), a local directory, or an "
        "id on the Hugging Face hub such as laion/larger_clap_general (download it first: clap-monitor "
        "download ID).",
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="Commit, tag or branch of a checkpoint on the hub. Unset: the last download.",
    )
    device: Annotated[str, StringConstraints(pattern=validators.DEVICE)] = Field(
        default="auto",
        description="Device that runs the model: auto, cpu, cuda, cuda:0 (a number selects a GPU) or mps. "
        "auto: a GPU if there is one.",
    )
    engine: Literal["auto", "torch", "onnx"] = Field(
        default="auto",
        description="Library that runs the model: torch, or onnx (ONNX Runtime; on the CPU, in float32 or "
        "int8), which starts sooner and takes less memory. auto: onnx if the checkpoint is exported for it "
        "(starter is; others: clap-monitor export) and it was not measured to be slower.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        default="auto",
        description="Number format of the model. auto: float16 on a CUDA GPU; elsewhere float32, or "
        "bfloat16 on a CPU on which it is measured to be faster. int8 is the fastest for large checkpoints "
        "on a CPU but less exact, so auto never selects it.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="CPU threads for the model. Using more threads than there are idle cores slows it "
        "down. Unset: 1, or as many free cores as it needs to keep up.",
    )
    allow_unqualified: bool = Field(
        default=False,
        description="Run a checkpoint that cannot tell the sounds of the calibration kit apart, as one with "
        "random weights. Its events mean nothing.",
    )


class WindowConfig(Section):
    """Windows: how much audio is scored at once, and how often."""

    seconds: float | None = Field(
        default=None,
        ge=0.1,
        le=60,
        description="Length of a window, in seconds; the checkpoint's input length must be a multiple of "
        "it. Short windows detect sooner, long ones more reliably. Unset: 5, or the checkpoint's input "
        "length if that is shorter.",
    )
    hop_seconds: float | None = Field(
        default=None,
        ge=0.01,
        le=60,
        description="Time from one window to the next, in seconds; at most seconds. Unset: 1, or half a "
        "window if that is shorter.",
    )
    reuse_seconds: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="Longest time for which windows reuse the last embedding, in seconds: while no sound is "
        "new (scoring.md), no score is above 0.4 of its label's threshold and no event is active. If long "
        "windows overlap by much, some also reuse it when the sound changes. 0: the model runs on every "
        "window.",
    )

    @field_validator("hop_seconds")
    @classmethod
    def _covers_all_audio(cls, hop: float | None, others: ValidationInfo) -> float | None:
        seconds = others.data.get("seconds")
        if hop is not None and seconds is not None and hop > seconds:
            raise fault(
                f"{hop:g} is more than seconds ({seconds:g}); the audio between windows would be skipped"
            )
        return hop

    def hop(self, window_seconds: float) -> float:
        """Time from one window to the next, in seconds, for windows of this length."""
        return min(1.0, window_seconds / 2) if self.hop_seconds is None else self.hop_seconds


def _sources(value: object, validate: Callable[[Any], Any]) -> Any:
    found = [*validators.repeated(value, "name", "sources"), *validators.readers_of_standard_input(value)]
    return validators.with_faults(value, validate, found)


def _labels(value: object, validate: Callable[[Any], Any]) -> Any:
    return validators.with_faults(value, validate, validators.repeated(value, "id", "labels"))


class Config(Section):
    """Complete configuration; the defaults are a working monitor of one microphone."""

    node: Annotated[Identifier, AfterValidator(validators.check_node)] = Field(
        default="home", description="Name of this monitor, also in MQTT topics; not fleet."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    model: ModelConfig = Field(default=ModelConfig(), description="The CLAP checkpoint, and how it runs.")
    window: WindowConfig = Field(
        default=WindowConfig(), description="Windows: how much audio is scored at once, and how often."
    )
    sources: Annotated[tuple[SourceConfig, ...], WrapValidator(_sources), Field(strict=False)] = Field(
        default=(SourceConfig(name="microphone", kind="microphone"),),
        min_length=1,
        max_length=MOST_SOURCES,
        description="Audio sources, scored by the same model.",
    )
    silence_dbfs: float = Field(
        default=-70.0,
        ge=-200,
        le=0,
        description="Level below which a window is not scored, in dB of full scale.",
    )
    background: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        default=BACKGROUND,
        max_length=100,
        description="Prompts for everyday sounds that are not events; they lower the scores of all labels. "
        "Never describe a sound that contains the sound of a label: that label would no longer be detected.",
    )
    include: Annotated[tuple[PackName, ...], Field(strict=False)] = Field(
        default=(),
        max_length=20,
        description="Prompt packs: sets of ready labels. A label below with the id of one of theirs changes "
        "its keys. Without labels below, only those of the packs are detected.",
    )
    labels: Annotated[tuple[LabelConfig, ...], WrapValidator(_labels), Field(strict=False)] = Field(
        default=tuple(LabelConfig(id=key, prompts=prompts) for key, prompts in SOUNDS.items()),
        min_length=1,
        max_length=200,
        description="Labels: the sounds to detect.",
    )
    mqtt: MqttConfig = Field(
        default=MqttConfig(), description="MQTT broker, commands and Home Assistant discovery."
    )
    fleet: FleetConfig = Field(
        default=FleetConfig(), description="Labels that many monitors have in common, from the broker."
    )
    store: StoreConfig = Field(
        default=StoreConfig(),
        description="Event store: past events, near misses and scores, without audio.",
    )
    memory: MemoryConfig = Field(
        default=MemoryConfig(),
        description="The embeddings of past windows, for search, replay and thresholds; no audio.",
    )
    unusual: UnusualConfig = Field(
        default=UnusualConfig(), description="Unusual sounds: events without a label. Off by default."
    )
    clips: ClipsConfig = Field(default=ClipsConfig(), description="Clips: short recordings of events.")
    notify: Annotated[tuple[NotifyConfig, ...], WrapValidator(validate_alerts), Field(strict=False)] = Field(
        default=(),
        max_length=20,
        description="Notification targets, reached through Apprise; needs the extra notify.",
    )
    hooks: Annotated[tuple[HookConfig, ...], WrapValidator(validate_alerts), Field(strict=False)] = Field(
        default=(), max_length=20, description="Commands that run when an event starts or ends."
    )
    web: WebConfig = Field(default=WebConfig(), description="Web page and API.")
    metrics: MetricsConfig = Field(
        default=MetricsConfig(),
        description="Metrics for Prometheus on a separate port; the web page serves them as well.",
    )
    recordings: FilePath = Field(default=Path("recordings"), description="Directory of the clips.")
    state: FilePath = Field(
        default=Path("state"), description="Directory of the data that survives a restart."
    )

    @property
    def enabled_sources(self) -> tuple[SourceConfig, ...]:
        """Sources that are in use."""
        return tuple(source for source in self.sources if source.enabled)

    @field_validator("unusual")
    @classmethod
    def _can_know_what_is_usual(cls, unusual: UnusualConfig, others: ValidationInfo) -> UnusualConfig:
        known = others.data
        if not unusual.enabled:
            return unusual
        if "memory" in known and not known["memory"].enabled:
            raise fault(
                "enabled needs memory.enabled: what is usual is known from the memory; "
                "set memory.enabled to true, or unusual.enabled to false"
            )
        if any(label.id == UNUSUAL for label in known.get("labels", ())):
            raise fault(
                f'enabled: there is a label "{UNUSUAL}", whose events could not be told from these; rename it'
            )
        names = [source.name for source in known["sources"]] if "sources" in known else unusual.sources or ()
        for name in unusual.sources or ():
            if name not in names:
                raise fault(f'sources: "{name}" is not a source; the sources are {", ".join(names)}')
        return unusual

    @model_validator(mode="wrap")
    @classmethod
    def _labels_exist(cls, value: object, validate: Callable[[Any], Config]) -> Config:
        value = with_packs(value)
        found = validators.unknown_labels_of_sources(value, SOUNDS)
        validated: Config = validators.with_faults(value, validate, found)
        return validated
