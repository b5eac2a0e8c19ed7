"""Number format for `auto` on a CPU: bfloat16 or float32, by measurement on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from monitor.model.audio_config import AudioConfig
from monitor.model.audio_encoder.linear import Linear
from monitor.system.cpu import has_bfloat16

_SMALL = 2e9
"""Operations per window below which matrix products do not dominate the time of an encoder."""
_SECONDS = 1.0
_FASTER = 1.4
"""Required speed-up of the products; the other steps of the encoder gain nothing in bfloat16."""


def bfloat16_pays(
    config: AudioConfig,
    supported: Callable[[], bool] = has_bfloat16,
    measure: Callable[[AudioConfig, torch.dtype], float] | None = None,
) -> bool:
    """Return whether an encoder on the CPU should run in bfloat16: it is large, and measured to be faster.

    ``supported`` returns whether the processor has bfloat16 products, ``measure`` the CPU time of one matrix
    product of the encoder in a number format, in seconds.
    """
    if config.operations < _SMALL or not supported():
        return False
    measure = measure or product_seconds
    end = time.monotonic() + _SECONDS
    exact: list[float] = []
    coarse: list[float] = []
    while not exact or time.monotonic() < end:  # in turn, so that other load affects both equally
        exact.append(measure(config, torch.float32))
        coarse.append(measure(config, torch.bfloat16))
    return min(exact) > _FASTER * min(coarse)


@torch.inference_mode()
def product_seconds(config: AudioConfig, dtype: torch.dtype) -> float:
    """CPU time of the widest product of the most expensive stage, in seconds."""
    stages = range(len(config.depths))
    work = [config.depths[i] * config.grid_of(i)[0] * config.grid_of(i)[1] * 4**i for i in stages]
    stage = max(stages, key=work.__getitem__)
    rows, channels = config.grid_of(stage)[0] * config.grid_of(stage)[1], config.channels * 2**stage
    linear = Linear(torch.full((4 * channels, channels), 0.5, dtype=dtype), None, rows)
    x = torch.full((1, rows, channels), 0.5, dtype=dtype)
    linear(x)
    begin = time.thread_time()
    linear(x)
    return time.thread_time() - begin
