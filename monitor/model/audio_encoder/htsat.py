"""The audio tower of CLAP (HTSAT, a Swin transformer over a folded spectrogram) with its projection.

The arithmetic of ``transformers.ClapAudioModelWithProjection``, whose outputs this equals to 1e-4,
arranged for windows of one shape that come for ever: query, key and value are one product, biases of
position and masks are made once, weights are packed (`linear`).  Tokens are never rolled, cut into
attention windows and put back: they stay in the order of the windows they are in, and one gather takes
them to the order of the next ones.  A window is never "longer" than what the model hears at once, so a
fused checkpoint needs only the first of its four channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from monitor.model.audio_config import AUDIO, PROJECTION, Shape
from monitor.model.audio_encoder import swin
from monitor.model.audio_encoder.int8_linear import QuantisedLinear
from monitor.model.audio_encoder.linear import Linear
from monitor.model.audio_encoder.weights import Weights

_ROWS_AT_ONCE = 4096
"""Tokens that go through the tower together: more need memory and are no faster [measured]."""

_PLAIN_TOKENS = 64
"""Of an attention window, from which on `_attention` may take plain products."""

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
    """Where each token of its windows stands among those of the layer before; None: in its place."""
    heads: int
    window: int
    """Tokens of an attention window."""
    bias: Tensor
    """Of position, and the mask where windows are shifted, shape (windows or 1, heads, tokens, tokens)."""
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
        heard = _attention(query, key, value, bias)
        return heard.transpose(1, 2).reshape(n, tokens, triple // 3)


def _attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention with a bias; (windows, heads, tokens, channels) each, the bias also for all windows at once.

    For 64 tokens in bfloat16 on a processor plain products take two thirds of the time of torch's own, which
    is made for long sequences; for 16, and in float32, they take up to three times as long [measured].
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or query.shape[2] < _PLAIN_TOKENS:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    bias = bias.expand(len(query), -1, -1, -1).flatten(0, 1)
    first, second, third = (part.flatten(0, 1) for part in (query, key, value))
    near = torch.baddbmm(bias, first, second.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
    return torch.bmm(near.softmax(dim=-1), third).view(query.shape)


@dataclass(frozen=True, slots=True)
class _Merging:
    """Four neighbouring tokens become one of twice the channels."""

    move: Tensor
    norm: _Norm
    reduction: Product

    def __call__(self, x: Tensor) -> Tensor:
        four = x.index_select(1, self.move).view(len(x), -1, 4 * x.shape[2])
        return self.reduction(self.norm(four))


class AudioTower:
    """Log-mel to embeddings that are not normalised.

    Parameters
    ----------
    shape : Shape
        What the configuration says.
    weights : Weights
        An open file; read once.
    device, dtype
        Where and in what precision it runs; its first and its last step are in float32.
    frames : int
        Of a log-mel spectrogram.
    product : callable
        What makes the products of its layers, as `Linear` does.
    """

    def __init__(
        self,
        shape: Shape,
        weights: Weights,
        device: torch.device,
        dtype: torch.dtype,
        *,
        frames: int,
        product: Callable[[Tensor, Tensor | None, int], Product] = Linear,
    ) -> None:
        self._shape = shape
        self._at_once = max(1, _ROWS_AT_ONCE // (shape.grid[0] * shape.grid[1]))
        self._device, self._dtype, self._product = device, dtype, product
        self._from = weights
        self._taps, self._weights = (part.to(device) for part in swin.bicubic(frames, shape.width))
        self._scale, self._offset = self._batch_norm()
        self._patch = [self._exact(AUDIO + "patch_embed.proj." + part) for part in ("weight", "bias")]
        self._patch_norm = self._norm(AUDIO + "patch_embed.norm", 1e-5, torch.float32)
        self._order = swin.order(*shape.grid, shape.windows[0], 0).to(device)
        # The widest weights come last, and are copied to be packed: best while there is nothing else yet.
        self._steps = [make() for make in reversed(self._plan())][::-1]
        self._last_norm = self._norm(AUDIO + "norm", 1e-5, dtype)
        self._projections = [Linear(*self._pair(f"{PROJECTION}linear{i}", torch.float32), 1) for i in (1, 2)]
        del self._from

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        """Embed log-mel spectrograms: float32, (n, frames, mel_bins) -> float32, (n, dimension)."""
        return torch.cat([self._embed(few.to(self._device)) for few in torch.split(features, self._at_once)])

    def _embed(self, features: Tensor) -> Tensor:
        x = self._patches(features).to(self._dtype)
        for step in self._steps:
            x = step(x)
        pooled = self._last_norm(x).float().mean(dim=1)
        first, second = self._projections
        return second(first(pooled).relu())

    def _patches(self, features: Tensor) -> Tensor:
        """Normalise and stretch, fold the spectrogram into a square, and make tokens of its patches."""
        shape = self._shape
        stretched = (features[:, self._taps] * self._weights).sum(dim=2)  # (n, width, mel_bins)
        stretched = stretched * self._scale + self._offset
        folded = stretched.view(len(features), shape.folds, -1, shape.mel_bins).transpose(2, 3)
        image = folded.reshape(len(features), 1, shape.spec_size, shape.spec_size)
        weight, bias = self._patch
        patches = functional.conv2d(image, weight, bias, stride=shape.stride, padding=shape.padding)
        return self._patch_norm(patches.flatten(2).transpose(1, 2)).index_select(1, self._order)

    def _plan(self) -> list[Callable[[], _Layer | _Merging]]:
        """How to make every layer, and the merging between two stages, with the gather that leads to it."""
        shape = self._shape
        plan: list[Callable[[], _Layer | _Merging]] = []
        here = self._order.cpu()
        for stage, depth in enumerate(shape.depths):
            height, width, window = *shape.grid_of(stage), shape.windows[stage]
            if stage:
                there = swin.order(height, width, window, 0)
                plan.append(partial(self._merging, stage - 1, swin.merged(here, there, width)))
                here = there
            for number in range(depth):
                shift = shape.shift(stage, number)
                there = swin.order(height, width, window, shift)
                plan.append(partial(self._layer, stage, number, swin.move(here, there), shift))
                here = there
        return plan

    def _layer(self, stage: int, number: int, move: Tensor | None, shift: int) -> _Layer:
        shape, name = self._shape, f"{AUDIO}layers.{stage}.blocks.{number}."
        height, width = shape.grid_of(stage)
        window, rows = shape.windows[stage], height * width
        table = self._exact(name + "attention.self.relative_position_bias_table")
        bias = swin.bias(table.cpu(), window, swin.mask(height, width, window, shift))
        return _Layer(
            move=None if move is None else move.to(self._device),
            heads=shape.heads[stage],
            window=window * window,
            bias=bias.to(self._device, self._dtype),
            before=self._norm(name + "layernorm_before", shape.eps, self._dtype),
            qkv=self._joined([f"{name}attention.self.{part}" for part in ("query", "key", "value")], rows),
            out=self._linear(name + "attention.output.dense", rows),
            after=self._norm(name + "layernorm_after", shape.eps, self._dtype),
            wide=self._linear(name + "intermediate.dense", rows),
            narrow=self._linear(name + "output.dense", rows),
        )

    def _merging(self, stage: int, move: Tensor) -> _Merging:
        name = f"{AUDIO}layers.{stage}.downsample."
        reduction = self._copy(name + "reduction.weight", self._dtype)
        norm = self._norm(name + "norm", 1e-5, self._dtype)
        return _Merging(move.to(self._device), norm, self._product(reduction, None, len(move) // 4))

    def _batch_norm(self) -> tuple[Tensor, Tensor]:
        """Of each mel bin, as a factor and an offset."""
        name = AUDIO + "batch_norm."
        mean, variance, weight, bias = (
            self._exact(name + part) for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = weight / torch.sqrt(variance + 1e-5)
        return scale, bias - mean * scale

    def _joined(self, names: list[str], rows: int) -> Product:
        weight = torch.cat([self._copy(f"{name}.weight", self._dtype) for name in names])
        if not self._shape.qkv_bias:
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
