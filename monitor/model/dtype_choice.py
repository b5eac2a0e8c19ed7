"""Which number format is faster on this machine: measured, not believed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from monitor.model.audio_config import Shape, operations
from monitor.model.audio_encoder.linear import Linear
from monitor.system.cpu import has_bfloat16

_SMALL = 2e9
"""Operations for a window below which products are not what a tower's time goes into."""
_SECONDS = 1.0
_FASTER = 1.4
"""How many times faster products must be: what they gain in bfloat16 the rest does not."""


def bfloat16_pays(
    shape: Shape,
    supported: Callable[[], bool] = has_bfloat16,
    measure: Callable[[Shape, torch.dtype], float] | None = None,
) -> bool:
    """Tell whether a tower on the CPU should run in bfloat16: large, supported and measured to be faster.

    Parameters
    ----------
    shape : Shape
        Of the tower.
    supported : callable
        Whether the processor multiplies in bfloat16 itself.
    measure : callable, optional
        Seconds of processor time that a product of the tower takes in a number format.
    """
    if operations(shape) < _SMALL or not supported():
        return False
    measure = measure or product_seconds
    end = time.monotonic() + _SECONDS
    exact: list[float] = []
    coarse: list[float] = []
    while not exact or time.monotonic() < end:  # in turn, so that other work meets both alike
        exact.append(measure(shape, torch.float32))
        coarse.append(measure(shape, torch.bfloat16))
    return min(exact) > _FASTER * min(coarse)


@torch.inference_mode()
def product_seconds(shape: Shape, dtype: torch.dtype) -> float:
    """Processor time of the wide product of the stage in which most of the work is."""
    stages = range(len(shape.depths))
    work = [shape.depths[i] * shape.grid_of(i)[0] * shape.grid_of(i)[1] * 4**i for i in stages]
    stage = max(stages, key=work.__getitem__)
    rows, channels = shape.grid_of(stage)[0] * shape.grid_of(stage)[1], shape.channels * 2**stage
    linear = Linear(torch.full((4 * channels, channels), 0.5, dtype=dtype), None, rows)
    x = torch.full((1, rows, channels), 0.5, dtype=dtype)
    linear(x)
    begin = time.thread_time()
    linear(x)
    return time.thread_time() - begin
