"""HTSAT: the audio encoder of CLAP, a Swin transformer over a folded spectrogram, with its projection.

It computes the same as ``transformers.ClapAudioModelWithProjection`` (to 1e-4), arranged for an endless
stream of windows of one shape: query, key and value are one product, position biases and masks are made
once, and weights are packed (`linear`).  Tokens stay in the order of their attention windows; one gather
brings them into the order of the next layer, instead of rolling, cutting and reassembling the grid.  An audio
window is never longer than the model's input, so a fused checkpoint needs only its first channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from monitor.model.audio_config import AudioConfig
from monitor.model.audio_encoder import swin
from monitor.model.audio_encoder.int8_linear import QuantisedLinear
from monitor.model.audio_encoder.linear import Linear
from monitor.model.audio_encoder.weights import AUDIO, PROJECTION, Weights

_ROWS_AT_ONCE = 4096
"""Tokens per batch: more need more memory and are not faster [measured]."""

_PLAIN_TOKENS = 64
"""Tokens of an attention window from which `_attention` may use plain matrix products."""

Product = Linear | QuantisedLinear


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block of attention and its two products."""

    move: Tensor | None
    """Index of each token in the order of the previous layer; None: the order is the same."""
    heads: int
    window: int
    """Tokens of an attention window."""
    bias: Tensor
    """Position bias, plus the mask of shifted windows, shape (windows or 1, heads, tokens, tokens)."""
    before: _Norm
    qkv: Product
    out: Product
    after: _Norm
    wide: Product
    narrow: Product

    def __call__(self, x: Tensor) -> Tensor:
        if self.move is not None:
            x = x.index_select(1, self.move)
        x = self.out.plus(self._attend(self.qkv(self.before(x))), x)
        return self.narrow.plus(self.wide.gelu(self.after(x)), x)

    def _attend(self, qkv: Tensor) -> Tensor:
        """Attention within windows, (n, tokens, 3 * channels) -> (n, tokens, channels)."""
        n, tokens, triple = qkv.shape
        count = tokens // self.window
        parts = qkv.view(n * count, self.window, 3, self.heads, triple // 3 // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        bias = self.bias if n == 1 or len(self.bias) == 1 else self.bias.repeat(n, 1, 1, 1)
        mixed = _attention(query, key, value, bias)
        return mixed.transpose(1, 2).reshape(n, tokens, triple // 3)


def _attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention with a bias; (windows, heads, tokens, channels) each, the bias also for all windows at once.

    For 64 tokens in bfloat16 on a CPU, plain products take two thirds of the time of torch's own attention,
    which is made for long sequences; for 16 tokens, and in float32, up to three times as long [measured].
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or query.shape[2] < _PLAIN_TOKENS:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    bias = bias.expand(len(query), -1, -1, -1).flatten(0, 1)
    first, second, third = (part.flatten(0, 1) for part in (query, key, value))
    scores = torch.baddbmm(bias, first, second.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
    return torch.bmm(scores.softmax(dim=-1), third).view(query.shape)


@dataclass(frozen=True, slots=True)
class _Merging:
    """Merge four neighbouring tokens into one with twice the channels."""

    move: Tensor
    norm: _Norm
    reduction: Product

    def __call__(self, x: Tensor) -> Tensor:
        four = x.index_select(1, self.move).view(x.shape[0], -1, 4 * x.shape[2])
        return self.reduction(self.norm(four))


class AudioEncoder:
    """Log-mel spectrograms to embeddings, which are not normalised.

    Parameters
    ----------
    config : AudioConfig
    weights : Weights
        An open file; only read during construction.
    device, dtype
        Device and precision; the first and the last step are in float32.
    frames : int
        Frames of a log-mel spectrogram.
    product : callable
        Makes the matrix products of the layers, as `Linear` does.
    """

    def __init__(
        self,
        config: AudioConfig,
        weights: Weights,
        device: torch.device,
        dtype: torch.dtype,
        *,
        frames: int,
        product: Callable[[Tensor, Tensor | None, int], Product] = Linear,
    ) -> None:
        self._config = config
        self.largest_batch = max(1, _ROWS_AT_ONCE // (config.grid[0] * config.grid[1]))
        """Windows that go through it at once; of more, this many at a time."""
        self._device, self._dtype, self._product = device, dtype, product
        self._from = weights
        self._taps, self._weights = (part.to(device) for part in swin.bicubic(frames, config.width))
        self._scale, self._offset = self._batch_norm()
        self._patch = [self._exact(AUDIO + "patch_embed.proj." + part) for part in ("weight", "bias")]
        self._patch_norm = self._norm(AUDIO + "patch_embed.norm", 1e-5, torch.float32)
        self._order = swin.order(*config.grid, config.windows[0], 0).to(device)
        # Packing copies the weights, so the widest ones, which are last, are packed first: least peak memory.
        self._steps = [make() for make in reversed(self._plan())][::-1]
        self._last_norm = self._norm(AUDIO + "norm", 1e-5, dtype)
        self._projections = [Linear(*self._pair(f"{PROJECTION}linear{i}", torch.float32), 1) for i in (1, 2)]
        del self._from

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        """Embed log-mel spectrograms: float32, (n, frames, mel_bins) -> float32, (n, dimension)."""
        batches = torch.split(features, self.largest_batch)
        return torch.cat([self.embed(few.to(self._device)) for few in batches])

    def embed(self, features: Tensor) -> Tensor:
        """Embed a few spectrograms on the device, shapes as in `__call__`.

        The last steps get a row too many: the libraries add up a row alone in another order than several, and
        so a window has the same embedding, to the bit, in a batch of any size [measured, on x86].
        """
        x = self._patches(features).to(self._dtype)
        for step in self._steps:
            x = step(x)
        tokens = self._last_norm(x).float()
        pooled = torch.cat([tokens, tokens[:1]]).mean(dim=1)
        first, second = self._projections
        return second(first(pooled).relu())[:-1]

    def _patches(self, features: Tensor) -> Tensor:
        """Normalise and stretch a spectrogram, fold it into a square image, and make its patches tokens."""
        config = self._config
        stretched = (features[:, self._taps] * self._weights).sum(dim=2)  # (n, width, mel_bins)
        stretched = stretched * self._scale + self._offset
        folded = stretched.view(features.shape[0], config.folds, -1, config.mel_bins).transpose(2, 3)
        image = folded.reshape(features.shape[0], 1, config.spec_size, config.spec_size)
        weight, bias = self._patch
        patches = functional.conv2d(image, weight, bias, stride=config.stride, padding=config.padding)
        return self._patch_norm(patches.flatten(2).transpose(1, 2)).index_select(1, self._order)

    def _plan(self) -> list[Callable[[], _Layer | _Merging]]:
        """Constructors of all layers and mergings, each with the gather that leads to it."""
        config = self._config
        plan: list[Callable[[], _Layer | _Merging]] = []
        here = self._order.cpu()
        for stage, depth in enumerate(config.depths):
            height, width, window = *config.grid_of(stage), config.windows[stage]
            if stage:
                there = swin.order(height, width, window, 0)
                plan.append(partial(self._merging, stage - 1, swin.merged(here, there, width)))
                here = there
            for number in range(depth):
                shift = config.shift(stage, number)
                there = swin.order(height, width, window, shift)
                plan.append(partial(self._layer, stage, number, swin.move(here, there), shift))
                here = there
        return plan

    def _layer(self, stage: int, number: int, move: Tensor | None, shift: int) -> _Layer:
        config, name = self._config, f"{AUDIO}layers.{stage}.blocks.{number}."
        height, width = config.grid_of(stage)
        window, rows = config.windows[stage], height * width
        table = self._exact(name + "attention.self.relative_position_bias_table")
        bias = swin.bias(table.cpu(), window, swin.mask(height, width, window, shift))
        return _Layer(
            move=None if move is None else move.to(self._device),
            heads=config.heads[stage],
            window=window * window,
            bias=bias.to(self._device, self._dtype),
            before=self._norm(name + "layernorm_before", config.eps, self._dtype),
            qkv=self._joined([f"{name}attention.self.{part}" for part in ("query", "key", "value")], rows),
            out=self._linear(name + "attention.output.dense", rows),
            after=self._norm(name + "layernorm_after", config.eps, self._dtype),
            wide=self._linear(name + "intermediate.dense", rows),
            narrow=self._linear(name + "output.dense", rows),
        )

    def _merging(self, stage: int, move: Tensor) -> _Merging:
        name = f"{AUDIO}layers.{stage}.downsample."
        reduction = self._copy(name + "reduction.weight", self._dtype)
        norm = self._norm(name + "norm", 1e-5, self._dtype)
        return _Merging(move.to(self._device), norm, self._product(reduction, None, len(move) // 4))

    def _batch_norm(self) -> tuple[Tensor, Tensor]:
        """Batch norm of each mel bin, as a factor and an offset."""
        name = AUDIO + "batch_norm."
        mean, variance, weight, bias = (
            self._exact(name + part) for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = weight / torch.sqrt(variance + 1e-5)
        return scale, bias - mean * scale

    def _joined(self, names: list[str], rows: int) -> Product:
        weight = torch.cat([self._copy(f"{name}.weight", self._dtype) for name in names])
        if not self._config.qkv_bias:
            return self._product(weight, None, rows)
        bias = torch.cat([self._copy(f"{name}.bias", self._dtype) for name in names])
        return self._product(weight, bias, rows)

    def _linear(self, name: str, rows: int) -> Product:
        return self._product(*self._pair(name, self._dtype), rows)

    def _norm(self, name: str, eps: float, dtype: torch.dtype) -> _Norm:
        return _Norm(*self._pair(name, dtype), eps)

    def _pair(self, name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self._copy(f"{name}.weight", dtype), self._copy(f"{name}.bias", dtype)

    def _exact(self, name: str) -> Tensor:
        return self._copy(name, torch.float32)

    def _copy(self, name: str, dtype: torch.dtype) -> Tensor:
        return self._from.copy(name, self._device, dtype)
