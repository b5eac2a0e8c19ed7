"""What ``config.json`` says of an audio tower, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.model.config_ranges import Range, check, check_list, check_mapping, shown
from monitor.model.tower_config import AUDIO_RANGES
from monitor.types import ModelError

AUDIO = "audio_model.audio_encoder."
PROJECTION = "audio_projection."
"""How the names of the tensors begin."""

# What ClapAudioConfig has for a key that a checkpoint leaves out.
_DEFAULTS: dict[str, Any] = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "window_size": 8,
    "depths": [2, 2, 6, 2],
    "num_attention_heads": [4, 8, 16, 32],
    "patch_embeds_hidden_size": 96,
    "layer_norm_eps": 1e-5,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
}
# What every published checkpoint has; others are refused, not guessed.
_ONLY: dict[str, Any] = {
    "hidden_act": "gelu",
    "flatten_patch_embeds": True,
    "enable_patch_layer_norm": True,
    "patch_embed_input_channels": 1,
}

# The largest published tower has 16 layers, 4,096 tokens, 6 million numbers in attention, 2 million between
# two layers, and needs 20 thousand million operations.
_SIDE = Range(1, 256)
_MOST_LAYERS = 256
_MOST_TOKENS = 2**16
_MOST_ATTENTION = 2**27
_MOST_BETWEEN = 2**27
_MOST_OPERATIONS = 1e13


@dataclass(frozen=True, slots=True)
class Shape:
    """An audio tower without its numbers."""

    spec_size: int
    """Side of the square into which a spectrogram is folded."""
    mel_bins: int
    patch: tuple[int, int]
    stride: tuple[int, int]
    window: int
    """Tokens along each side of an attention window."""
    depths: tuple[int, ...]
    """Layers of each stage."""
    heads: tuple[int, ...]
    """Heads of attention in each stage."""
    channels: int
    """Of the first stage; each later one has twice as many."""
    widening: float
    """Channels between the two products of a layer, in channels."""
    eps: float
    qkv_bias: bool
    dimension: int
    """Of an embedding."""

    @property
    def folds(self) -> int:
        """Parts of the time axis that are put on top of each other."""
        return self.spec_size // self.mel_bins

    @property
    def width(self) -> int:
        """Frames to which a spectrogram is stretched."""
        return self.spec_size * self.folds

    @property
    def padding(self) -> tuple[int, int]:
        """Around the square, so that strides that are shorter than a patch fill it."""
        return (self.patch[0] - self.stride[0]) // 2, (self.patch[1] - self.stride[1]) // 2

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens in the first stage."""
        return self.spec_size // self.stride[0], self.spec_size // self.stride[1]

    def grid_of(self, stage: int) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.grid[0] // 2**stage, self.grid[1] // 2**stage

    @property
    def windows(self) -> tuple[int, ...]:
        """Side of an attention window in each stage: never more than the grid has."""
        return tuple(min(self.window, *self.grid_of(stage)) for stage in range(len(self.depths)))

    def shift(self, stage: int, layer: int) -> int:
        """By how much windows are moved: every other layer by half, unless one window is everything."""
        return self.window // 2 if layer % 2 and min(self.grid_of(stage)) > self.window else 0


def shape_of(config: Mapping[str, Any], origin: str) -> Shape:
    """Shape that a ``config.json`` describes.

    Raises
    ------
    ModelError
        A value that cannot work, or that no published checkpoint has; names file, key and value.
    """
    audio = config.get("audio_config", {})
    check_mapping(audio, AUDIO_RANGES, f"{origin}: audio_config")
    keys = {key: audio.get(key, default) for key, default in _DEFAULTS.items()}
    for key, only in _ONLY.items():
        if audio.get(key, only) != only:
            raise _fault(origin, key, audio[key], f"not {only!r}, the only one that is known")
    if config.get("projection_hidden_act", "relu") != "relu":
        raise ModelError(f"{origin}: projection_hidden_act: not 'relu', the only one that is known")
    dimension = config.get("projection_dim", 512)
    check(dimension, Range(1, 8_192), f"{origin}: projection_dim")
    shape = Shape(
        spec_size=keys["spec_size"],
        mel_bins=keys["num_mel_bins"],
        patch=_pair(keys["patch_size"], f"{origin}: audio_config.patch_size"),
        stride=_pair(keys["patch_stride"], f"{origin}: audio_config.patch_stride"),
        window=keys["window_size"],
        depths=_list(keys["depths"], Range(1, 128), 8, f"{origin}: audio_config.depths"),
        heads=_list(
            keys["num_attention_heads"], Range(1, 1_024), 8, f"{origin}: audio_config.num_attention_heads"
        ),
        channels=keys["patch_embeds_hidden_size"],
        widening=float(keys["mlp_ratio"]),
        eps=float(keys["layer_norm_eps"]),
        qkv_bias=bool(keys["qkv_bias"]),
        dimension=dimension,
    )
    _check(shape, origin)
    return shape


def tensors_of(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the tower needs."""
    channels, last = shape.channels, shape.channels * 2 ** (len(shape.depths) - 1)
    norms = ("weight", "bias", "running_mean", "running_var")
    found: dict[str, tuple[int, ...]] = {f"{AUDIO}batch_norm.{part}": (shape.mel_bins,) for part in norms}
    found |= {f"{AUDIO}patch_embed.proj.weight": (channels, 1, *shape.patch)}
    found |= {f"{AUDIO}patch_embed.proj.bias": (channels,)}
    found |= _pairs({f"{AUDIO}patch_embed.norm": (channels,), f"{AUDIO}norm": (last,)})
    found |= _pairs({f"{PROJECTION}linear1": (shape.dimension, last)})
    found |= _pairs({f"{PROJECTION}linear2": (shape.dimension, shape.dimension)})
    for stage, depth in enumerate(shape.depths):
        size = channels * 2**stage
        if stage + 1 < len(shape.depths):
            found |= _pairs({f"{AUDIO}layers.{stage}.downsample.norm": (4 * size,)})
            found[f"{AUDIO}layers.{stage}.downsample.reduction.weight"] = (2 * size, 4 * size)
        for number in range(depth):
            found |= _layer(f"{AUDIO}layers.{stage}.blocks.{number}.", shape, stage)
    return found


def operations(shape: Shape) -> float:
    """Multiplications and additions of the products of one window: 24 for each token and weight."""
    stages = enumerate(shape.depths)
    sizes = ((shape.grid_of(stage), shape.channels * 2**stage, depth) for stage, depth in stages)
    return float(sum(24 * rows * columns * channels**2 * depth for (rows, columns), channels, depth in sizes))


def _layer(name: str, shape: Shape, stage: int) -> dict[str, tuple[int, ...]]:
    size, window = shape.channels * 2**stage, shape.window
    wide = int(shape.widening * size)
    found = _pairs({f"{name}layernorm_before": (size,), f"{name}layernorm_after": (size,)})
    for part in ("query", "key", "value"):
        linear = _pairs({f"{name}attention.self.{part}": (size, size)})
        found |= linear if shape.qkv_bias else {key: of for key, of in linear.items() if "weight" in key}
    found |= _pairs({f"{name}attention.output.dense": (size, size), f"{name}output.dense": (size, wide)})
    found |= _pairs({f"{name}intermediate.dense": (wide, size)})
    table = f"{name}attention.self.relative_position_bias_table"
    return found | {table: ((2 * window - 1) ** 2, shape.heads[stage])}


def _pairs(weights: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Weights with their biases, which have one number for each row."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in weights.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def _check(shape: Shape, origin: str) -> None:
    """Refuse what does not go together."""
    if any(stride > patch for stride, patch in zip(shape.stride, shape.patch, strict=True)):
        raise _fault(origin, "patch_stride", list(shape.stride), f"more than patch_size {list(shape.patch)}")
    if sum(shape.depths) > _MOST_LAYERS:
        raise _fault(origin, "depths", list(shape.depths), f"more than {_MOST_LAYERS} layers")
    if len(shape.heads) < len(shape.depths):
        raise _fault(origin, "num_attention_heads", list(shape.heads), f"not one for each of {shape.depths}")
    for stage, (heads, window) in enumerate(zip(shape.heads, shape.windows, strict=False)):
        grid, channels = shape.grid_of(stage), shape.channels * 2**stage
        if window != shape.window or any(side % window for side in grid):
            raise ModelError(
                f"{origin}: audio_config: no window passes: stage {stage} has {grid[0]} x {grid[1]} tokens, "
                f"no whole windows of window_size {shape.window}"
            )
        if channels % heads:
            raise _fault(origin, "num_attention_heads", heads, f"no divisor of the {channels} channels")
    _check_effort(shape, origin)


def _check_effort(shape: Shape, origin: str) -> None:
    """Refuse what would take all memory or minutes a window, though every number of it is plausible."""
    tokens = shape.grid[0] * shape.grid[1]
    efforts = {
        "tokens": (tokens, _MOST_TOKENS),
        "numbers in attention": (
            sum(
                depth * heads * (tokens // 4**stage) * shape.window**2
                for stage, (depth, heads) in enumerate(zip(shape.depths, shape.heads, strict=False))
            ),
            _MOST_ATTENTION,
        ),
        "numbers between two layers": (
            int(tokens * shape.channels * max(3.0, shape.widening)),
            _MOST_BETWEEN,
        ),
        "operations a window": (operations(shape), _MOST_OPERATIONS),
    }
    for what, (number, most) in efforts.items():
        if number > most:
            raise ModelError(f"{origin}: audio_config: makes {number:,.0f} {what}, more than {most:,.0f}")


def _list(value: object, allowed: Range, most: int, where: str) -> tuple[int, ...]:
    check_list(value, allowed, most, where)
    return tuple(value)  # type: ignore[arg-type]


def _pair(value: object, where: str) -> tuple[int, int]:
    sides: list[Any] = value if isinstance(value, list) else [value, value]
    if len(sides) != 2 or not all(map(_SIDE.has, sides)):  # noqa: PLR2004 - height and width
        raise ModelError(f"{where}: {shown(value)} is neither {_SIDE} nor two of them")
    return sides[0], sides[1]


def _fault(origin: str, key: str, value: object, why: str) -> ModelError:
    return ModelError(f"{origin}: audio_config.{key}: {shown(value)}: {why}")
