"""Optimisers of both towers: Muon for the matrices, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch

MATRIX = 2
"""Dimensions of one."""


def optimisers(
    tower: torch.nn.Module, table: str, matrix_decay: float, rest_decay: float
) -> list[torch.optim.Optimizer]:
    """Both, for all weights of a tower (Jordan et al. 2024; one rate, as in Liu et al. 2025).

    What has ``table`` in its name is looked up, not multiplied with, and belongs to the rest.
    """
    named = dict(tower.named_parameters())
    matrices = {name for name, p in named.items() if p.dim() == MATRIX and table not in name}
    return [
        torch.optim.Muon(
            [p for name, p in named.items() if name in matrices],
            weight_decay=matrix_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [p for name, p in named.items() if name not in matrices],
            betas=(0.9, 0.98),
            weight_decay=rest_decay,
            fused=True,
        ),
    ]


def set_rate(several: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Have all of them learn at ``rate``."""
    for optimiser in several:
        for group in optimiser.param_groups:
            group["lr"] = rate


def rate_at(part: float, fall: float, step: int, warm_steps: int) -> float:
    """Share of the highest learning rate at a part (0 to 1) of a run: rising, constant, falling linearly.

    ``fall`` is the share of the run in which it falls; with 0 it stays to the end.
    """
    high = min(1.0, (1 - part) / fall) if fall else 1.0
    return max(high, 0.01) * min(1.0, (step + 1) / warm_steps)
