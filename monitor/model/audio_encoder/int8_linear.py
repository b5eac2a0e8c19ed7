"""Matrix products in int8, for a quarter of the memory of those in float32.

On one core the tower of the largest published checkpoint takes 0.45 of its time in float32, 0.65 as on
processors without VNNI (bfloat16: 0.57) [measured].  Small products, as the starter's, gain nothing.

A weight has one scale for each output.  An activation has a scale and a zero of its own in every window, from
its least to its greatest number.  With one scale for a batch, as torch's own ``quantized.linear_dynamic`` has
it, a loud window coarsens those beside it: between the starter's embeddings of a window alone and among 16
the cosine went down to 0.9985 with 7 bits, 0.9996 with 8; so they differ by 2e-7 [measured].  A scale for
each token brings them no nearer to float32 and takes half as long again [measured].

The operators are those that ``torch.compile`` emits, on plain tensors: torch is about to do without quantised
ones (pytorch issue 184982).
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

_OPERATORS = torch.ops.onednn

_LARGEST = 127
"""Of a weight, either way."""
_ALL, _HALF = 254, 126
"""Steps from the least to the greatest activation; the zero, which is rounded up, may take one more.

Without VNNI two products are added in 16 bits: with all 8 bits that overflows, and what should be 259080
comes out as 131068; with 7 it cannot [measured].
"""
_LEAST = 1e-30
"""Of a scale: what is all zero has one, too."""
_PROCESSOR = "x86_64"
"""On ARM oneDNN had only its reference for these, a hundred times slower (pytorch pull request 148583)."""

_AS_FLOAT: tuple[Any, ...] = (1.0, 0, torch.float32)
"""Scale, zero and kind of an output."""
_ADDED: tuple[Any, ...] = (1.0, 0, "add", 1.0, "none", [], "")
"""Scale and zero of what is added, how, by what factor, and that nothing follows."""


class QuantisedLinear:
    """As `linear.Linear`, for windows in float32 on the CPU.

    The weight is not kept; ``steps`` is into how many the range of an activation is cut: what `steps` gives.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int, *, steps: int) -> None:
        scale = (weight.abs().amax(dim=1) / _LARGEST).clamp_min(_LEAST)
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        self.weight = _OPERATORS.qlinear_prepack(whole, [rows, weight.shape[1]])
        zero = torch.zeros(len(weight), dtype=torch.long)
        self._fixed = (self.weight, scale, zero)
        self._bias = bias
        self._steps = steps

    def __call__(self, x: Tensor) -> Tensor:
        """Map the last axis of ``x``, shape (windows, rows, inputs)."""
        return _each(partial(self._product, "none", ""), x)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of what `__call__` gives."""
        return _each(partial(self._product, "gelu", "none"), x)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """What `__call__` gives plus ``other``, which has its shape."""
        return _each(self._sum, x, other)

    def _product(self, after: str, how: str, x: Tensor) -> Tensor:
        y: Tensor = _OPERATORS.qlinear_pointwise(
            *self._quantised(x), *self._fixed, self._bias, *_AS_FLOAT, after, [], how
        )
        return y

    def _sum(self, x: Tensor, other: Tensor) -> Tensor:
        y: Tensor = _OPERATORS.qlinear_pointwise.binary(
            *self._quantised(x), *self._fixed, other, self._bias, *_AS_FLOAT, *_ADDED
        )
        return y

    def _quantised(self, x: Tensor) -> tuple[Tensor, float, int]:
        """An activation as uint8, what a step is worth, and which step is zero."""
        least, greatest = (float(end) for end in torch.aminmax(x))
        span = max(greatest, 0.0) - min(least, 0.0)
        if not math.isfinite(span):  # the product is then not finite either, as it should be
            return torch.zeros_like(x, dtype=torch.uint8), math.nan, 0
        step = max(span / self._steps, _LEAST)
        zero = math.ceil(-min(least, 0.0) / step)
        # To int8 and then the sign turned over: torch converts to uint8 ten times slower [measured].
        shifted = torch.add(torch.tensor(zero - 128.0), x, alpha=1 / step).round_().to(torch.int8)
        return shifted.view(torch.uint8).bitwise_xor_(128), step, zero


@cache
def steps(machine: str | None = None) -> int:
    """Into how many steps an activation may be cut here, as tried out; 0 if there are no such products."""
    if (machine or platform.machine()) != _PROCESSOR:
        return 0
    return next((count for count in (_ALL, _HALF) if _is_exact(count)), 0)


def _is_exact(count: int) -> bool:
    """Return whether sums of the greatest products come out, whatever is done with them."""
    weight = torch.ones(32, 64)
    weight[1::2] = -1.0
    x, expected = torch.ones(1, 16, 64), 64 * weight[:, 0].expand(1, 16, 32)
    try:
        linear = QuantisedLinear(weight, None, 16, steps=count)
        outputs = linear(x), linear.gelu(x), linear.plus(x, expected) / 2
    except (AttributeError, RuntimeError, TypeError):  # not in this build of torch, or other parameters
        return False
    wanted = expected, expected.relu(), expected
    return all(torch.allclose(got, want, rtol=1e-3) for got, want in zip(outputs, wanted, strict=True))


def _each(run: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    if len(batches[0]) == 1:  # without a copy
        return run(*(batch[0] for batch in batches))[None]
    return torch.stack([run(*windows) for windows in zip(*batches, strict=True)])
