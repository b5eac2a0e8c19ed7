"""Weights of a checkpoint: memory-mapped tensors, and the ones that an audio encoder needs.

Tensors that are not used are never read, and the pages of copied tensors are released.
"""

from __future__ import annotations

import ctypes
import mmap
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from monitor.model.audio_config import AudioConfig

AUDIO = "audio_model.audio_encoder."
PROJECTION = "audio_projection."
"""Prefixes of tensor names."""

_DONT_NEED = 4  # MADV_DONTNEED: a page that is read again comes from the file


@dataclass(frozen=True, slots=True)
class Weights:
    """An open file of weights."""

    names: Collection[str]
    _view: Callable[[str], Tensor]
    _mapped: bool

    def is_real(self, name: str) -> bool:
        """Return whether a tensor holds floating-point numbers; a pickle may hold anything."""
        view = self._view(name)
        return isinstance(view, Tensor) and view.is_floating_point()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._view(name).shape)

    def copy(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Copy a tensor and release its pages of the file.

        Otherwise an encoder in float32 would be in memory twice while it is loaded.
        """
        view = self._view(name)
        copy = view.to(device, dtype, copy=True)
        if self._mapped:
            _release(view)
        return copy


@contextmanager
def opened(path: Path) -> Iterator[Weights]:
    """Open a ``.safetensors`` or a ``.bin`` file; only tensors are unpickled.

    Raises
    ------
    SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError
        The file is broken or of another kind.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as tensors:
            yield Weights(frozenset(tensors.keys()), tensors.get_tensor, True)
        return
    mapped = zipfile.is_zipfile(path)  # older files, of torch before 1.6, cannot be mapped
    content = torch.load(path, weights_only=True, map_location="cpu", mmap=mapped)
    yield Weights(content.keys(), content.__getitem__, mapped)


def _release(view: Tensor) -> None:
    """Return the whole pages of a mapped, unmodified tensor to the kernel."""
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    first = -(-view.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (view.data_ptr() + view.nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if advise is not None and size > 0:
        advise(ctypes.c_void_p(first), ctypes.c_size_t(size), _DONT_NEED)


def needed_tensors(config: AudioConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the audio encoder needs."""
    channels, last = config.channels, config.channels * 2 ** (len(config.depths) - 1)
    norms = ("weight", "bias", "running_mean", "running_var")
    found: dict[str, tuple[int, ...]] = {f"{AUDIO}batch_norm.{part}": (config.mel_bins,) for part in norms}
    found |= {f"{AUDIO}patch_embed.proj.weight": (channels, 1, *config.patch)}
    found |= {f"{AUDIO}patch_embed.proj.bias": (channels,)}
    found |= _pairs({f"{AUDIO}patch_embed.norm": (channels,), f"{AUDIO}norm": (last,)})
    found |= _pairs({f"{PROJECTION}linear1": (config.dimension, last)})
    found |= _pairs({f"{PROJECTION}linear2": (config.dimension, config.dimension)})
    for stage, depth in enumerate(config.depths):
        size = channels * 2**stage
        if stage + 1 < len(config.depths):
            found |= _pairs({f"{AUDIO}layers.{stage}.downsample.norm": (4 * size,)})
            found[f"{AUDIO}layers.{stage}.downsample.reduction.weight"] = (2 * size, 4 * size)
        for number in range(depth):
            found |= _layer(f"{AUDIO}layers.{stage}.blocks.{number}.", config, stage)
    return found


def _layer(name: str, config: AudioConfig, stage: int) -> dict[str, tuple[int, ...]]:
    size, window = config.channels * 2**stage, config.window
    wide = int(config.mlp_ratio * size)
    found = _pairs({f"{name}layernorm_before": (size,), f"{name}layernorm_after": (size,)})
    for part in ("query", "key", "value"):
        linear = _pairs({f"{name}attention.self.{part}": (size, size)})
        found |= linear if config.qkv_bias else {key: of for key, of in linear.items() if "weight" in key}
    found |= _pairs({f"{name}attention.output.dense": (size, size), f"{name}output.dense": (size, wide)})
    found |= _pairs({f"{name}intermediate.dense": (wide, size)})
    table = f"{name}attention.self.relative_position_bias_table"
    return found | {table: ((2 * window - 1) ** 2, config.heads[stage])}


def _pairs(weights: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Weights with their biases, which have one number per row."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in weights.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found
