"""Audio encoder configuration: the ``audio_config`` section of a checkpoint's ``config.json``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.model.config_ranges import Range, check, check_list, check_mapping, shown
from monitor.model.mel_config import MelConfig
from monitor.types import ModelError

_RANGES = {
    "spec_size": Range(1, 2_048),
    "num_mel_bins": Range(1, 1_024),
    "window_size": Range(1, 64),
    "patch_embeds_hidden_size": Range(1, 4_096),
    "hidden_size": Range(1, 65_536),
    "projection_dim": Range(1, 8_192),
    "num_hidden_layers": Range(1, 128),
    "layer_norm_eps": Range(0, 1, whole=False, above=True),
    "mlp_ratio": Range(0, 64, whole=False, above=True),
    "aff_block_r": Range(1, 1_024),
    "num_classes": Range(0, 65_536),
}
# Defaults of ClapAudioConfig for keys that a checkpoint leaves out.
_DEFAULTS: dict[str, Any] = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "window_size": 8,
    "depths": [2, 2, 6, 2],
    "num_attention_heads": [4, 8, 16, 32],
    "patch_embeds_hidden_size": 96,
    "hidden_size": 768,
    "layer_norm_eps": 1e-5,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "enable_fusion": False,
}
# The only supported values: every published checkpoint has them.
_ONLY: dict[str, Any] = {
    "hidden_act": "gelu",
    "flatten_patch_embeds": True,
    "enable_patch_layer_norm": True,
    "patch_embed_input_channels": 1,
}
_MOST_STAGES = 8

# The largest published encoder has 16 layers, 4,096 tokens, 6 million attention scores, 2 million activations
# between two layers, and needs 20 billion operations a window.
_SIDE = Range(1, 256)
_MOST_LAYERS = 256
_MOST_TOKENS = 2**16
_MOST_ATTENTION = 2**27
_MOST_ACTIVATIONS = 2**27
_MOST_OPERATIONS = 1e13


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """Architecture of an audio encoder (HTSAT)."""

    spec_size: int
    """Side of the square image into which a spectrogram is folded, in pixels."""
    mel_bins: int
    patch: tuple[int, int]
    """Height and width of a patch, in pixels."""
    stride: tuple[int, int]
    """From one patch to the next, in pixels."""
    window: int
    """Side of an attention window, in tokens."""
    depths: tuple[int, ...]
    """Layers of each stage."""
    heads: tuple[int, ...]
    """Attention heads of each stage."""
    channels: int
    """Channels of the first stage; every later stage has twice as many as the one before."""
    mlp_ratio: float
    """Hidden channels of a layer's MLP, as a multiple of its channels."""
    eps: float
    """Of the layer norms."""
    qkv_bias: bool
    fusion: bool
    """Whether the encoder takes the 4 channels of a fused checkpoint."""
    dimension: int
    """Of an embedding."""

    @property
    def folds(self) -> int:
        """Number of parts into which the time axis is cut; they are stacked in the square image."""
        return self.spec_size // self.mel_bins

    @property
    def width(self) -> int:
        """Number of frames to which a spectrogram is stretched."""
        return self.spec_size * self.folds

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels of padding around the image, which a stride shorter than the patch needs."""
        return (self.patch[0] - self.stride[0]) // 2, (self.patch[1] - self.stride[1]) // 2

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens in the first stage."""
        return self.spec_size // self.stride[0], self.spec_size // self.stride[1]

    def grid_of(self, stage: int) -> tuple[int, int]:
        """Rows and columns of tokens in a stage."""
        return self.grid[0] // 2**stage, self.grid[1] // 2**stage

    @property
    def windows(self) -> tuple[int, ...]:
        """Side of an attention window in each stage, in tokens: at most the side of the grid."""
        return tuple(min(self.window, *self.grid_of(stage)) for stage in range(len(self.depths)))

    def shift(self, stage: int, layer: int) -> int:
        """Shift of the attention windows in a layer, in tokens: half a window in every second layer."""
        return self.window // 2 if layer % 2 and min(self.grid_of(stage)) > self.window else 0

    @property
    def operations(self) -> float:
        """Multiplications and additions of the matrix products of one window: 24 per token and weight."""
        stages = ((self.grid_of(stage), self.channels * 2**stage) for stage in range(len(self.depths)))
        return float(
            sum(
                24 * rows * columns * channels**2 * depth
                for ((rows, columns), channels), depth in zip(stages, self.depths, strict=True)
            )
        )


def audio_config_of(config: Mapping[str, Any], origin: str) -> AudioConfig:
    """Audio encoder that a ``config.json`` describes; ``origin`` is its path, for error messages.

    Raises
    ------
    ModelError
        A value is out of range or unsupported, or values contradict each other; names file, key and value.
    """
    audio = check_mapping(config.get("audio_config", {}), _RANGES, f"{origin}: audio_config")
    keys = {key: audio.get(key, default) for key, default in _DEFAULTS.items()}
    for key, only in _ONLY.items():
        if audio.get(key, only) != only:
            raise _error(origin, key, audio[key], f"not {only!r}, the only supported value")
    if config.get("projection_hidden_act", "relu") != "relu":
        raise ModelError(f"{origin}: projection_hidden_act: not 'relu', the only supported value")
    dimension = config.get("projection_dim", 512)
    check(dimension, Range(1, 8_192), f"{origin}: projection_dim")
    depths, heads = (
        check_list(keys[key], allowed, _MOST_STAGES, f"{origin}: audio_config.{key}")
        for key, allowed in (("depths", Range(1, 128)), ("num_attention_heads", Range(1, 1_024)))
    )
    parsed = AudioConfig(
        spec_size=keys["spec_size"],
        mel_bins=keys["num_mel_bins"],
        patch=_pair(keys["patch_size"], f"{origin}: audio_config.patch_size"),
        stride=_pair(keys["patch_stride"], f"{origin}: audio_config.patch_stride"),
        window=keys["window_size"],
        depths=depths,
        heads=heads,
        channels=keys["patch_embeds_hidden_size"],
        mlp_ratio=float(keys["mlp_ratio"]),
        eps=float(keys["layer_norm_eps"]),
        qkv_bias=bool(keys["qkv_bias"]),
        fusion=bool(keys["enable_fusion"]),
        dimension=dimension,
    )
    _check_channels(parsed, keys["hidden_size"], origin)
    _check_grids(parsed, origin)
    _check_effort(parsed, origin)
    return parsed


def check_spectrograms(audio: AudioConfig, mel_config: MelConfig, origin: str) -> None:
    """Raise ModelError for an encoder that cannot take the spectrograms of the preprocessor."""
    if mel_config.mel_bins != audio.mel_bins:
        why = f"but the preprocessor makes {mel_config.mel_bins}"
        raise ModelError(f"{origin}: audio_config.num_mel_bins: {audio.mel_bins}, {why}")
    if mel_config.frames > audio.width:
        raise ModelError(
            f"{origin}: audio_config.spec_size: {audio.spec_size} holds {audio.width} frames of "
            f"{audio.mel_bins} bins, but {mel_config.seconds:g} s are {mel_config.frames} frames"
        )
    if mel_config.channels > 1 and not audio.fusion:
        raise ModelError(
            f"{origin}: audio_config.enable_fusion: {audio.fusion}, but the preprocessor's "
            "truncation 'fusion' makes 4 channels; without fusion it is 'rand_trunc'"
        )


def _check_channels(audio: AudioConfig, hidden_size: int, origin: str) -> None:
    if audio.spec_size % audio.mel_bins:
        raise ModelError(
            f"{origin}: audio_config.spec_size: {audio.spec_size} is not a multiple of num_mel_bins "
            f"{audio.mel_bins}"
        )
    if hidden_size != audio.channels * 2 ** (len(audio.depths) - 1):
        raise ModelError(
            f"{origin}: audio_config.hidden_size: {hidden_size} is not patch_embeds_hidden_size "
            f"{audio.channels} doubled after each of {len(audio.depths)} stages but the last"
        )


def _check_grids(audio: AudioConfig, origin: str) -> None:
    if any(stride > patch for stride, patch in zip(audio.stride, audio.patch, strict=True)):
        raise _error(origin, "patch_stride", list(audio.stride), f"more than patch_size {list(audio.patch)}")
    if sum(audio.depths) > _MOST_LAYERS:
        raise _error(origin, "depths", list(audio.depths), f"more than {_MOST_LAYERS} layers")
    if len(audio.heads) < len(audio.depths):
        raise _error(origin, "num_attention_heads", list(audio.heads), f"not one for each of {audio.depths}")
    for stage, (heads, window) in enumerate(zip(audio.heads, audio.windows, strict=False)):
        grid, channels = audio.grid_of(stage), audio.channels * 2**stage
        if window != audio.window or any(side % window for side in grid):
            raise ModelError(
                f"{origin}: audio_config: stage {stage} has {grid[0]} x {grid[1]} tokens, which is not a "
                f"whole number of attention windows of window_size {audio.window}"
            )
        if channels % heads:
            raise _error(origin, "num_attention_heads", heads, f"not a divisor of the {channels} channels")


def _check_effort(audio: AudioConfig, origin: str) -> None:
    """Refuse plausible numbers that together would take all memory, or minutes for each window."""
    tokens = audio.grid[0] * audio.grid[1]
    attention = sum(
        depth * heads * (tokens // 4**stage) * audio.window**2
        for stage, (depth, heads) in enumerate(zip(audio.depths, audio.heads, strict=False))
    )
    for what, number, most in (
        ("tokens", tokens, _MOST_TOKENS),
        ("attention scores", attention, _MOST_ATTENTION),
        (
            "activations between two layers",
            int(tokens * audio.channels * max(3.0, audio.mlp_ratio)),
            _MOST_ACTIVATIONS,
        ),
        ("operations per window", audio.operations, _MOST_OPERATIONS),
    ):
        if number > most:
            raise ModelError(f"{origin}: audio_config: makes {number:,.0f} {what}, more than {most:,.0f}")


def _pair(value: object, where: str) -> tuple[int, int]:
    sides: list[Any] = value if isinstance(value, list) else [value, value]
    if len(sides) != 2 or not all(map(_SIDE.has, sides)):  # noqa: PLR2004 - height and width
        raise ModelError(f"{where}: {shown(value)} is neither {_SIDE} nor two of them")
    return sides[0], sides[1]


def _error(origin: str, key: str, value: object, why: str) -> ModelError:
    return ModelError(f"{origin}: audio_config.{key}: {shown(value)}: {why}")
