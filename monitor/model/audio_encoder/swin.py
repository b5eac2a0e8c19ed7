"""Swin transformer: indices, biases and masks for attention windows over a grid of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

_MASKED = -100.0
_A = -0.75  # of the cubic convolution, as in torch's "bicubic"


def order(height: int, width: int, window: int, shift: int) -> Tensor:
    """Tokens of a grid, row by row, in the order of the windows they are in.

    Windows are moved by ``shift`` towards the end of both axes; the grid is a torus.
    """
    grid = torch.arange(height * width).view(height, width).roll((-shift, -shift), (0, 1))
    return _windows(grid, window).reshape(-1)


def move(here: Tensor, there: Tensor) -> Tensor | None:
    """Indices that bring tokens from one order to another; None if they are the same."""
    return None if torch.equal(here, there) else torch.argsort(here)[there]


def merged(here: Tensor, there: Tensor, width: int) -> Tensor:
    """Indices of the four tokens, in the order ``here``, that become each one of the order ``there``.

    ``there`` is an order of the grid of half the height and ``width``.
    """
    row, column = there // width, there % width
    corners = [
        (2 * row + down) * 2 * width + 2 * column + right for right in (0, 1) for down in (0, 1)
    ]  # down first: the order that the weights were trained with
    return torch.argsort(here)[torch.stack(corners, dim=1).reshape(-1)]


def mask(height: int, width: int, window: int, shift: int) -> Tensor | None:
    """Mask that separates tokens from opposite ends of the grid, shape (windows, 1, tokens, tokens)."""
    if not shift:
        return None
    rows, columns = (
        (torch.arange(size) >= size - window).long() + (torch.arange(size) >= size - shift).long()
        for size in (height, width)
    )
    parts = _windows(rows[:, None] * 3 + columns, window)
    return torch.where(parts[:, None, :, None] == parts[:, None, None, :], 0.0, _MASKED)


def bias(table: Tensor, window: int, masked: Tensor | None) -> Tensor:
    """Bias of each pair of tokens of a window, shape (windows or 1, heads, tokens, tokens).

    ``table``, shape ((2 window - 1)**2, heads), is by how far they are apart, rows first; ``masked``, as from
    `mask`, is added.
    """
    place = torch.arange(window * window)
    row, column = place // window, place % window
    apart = (row[:, None] - row + window - 1) * (2 * window - 1) + column[:, None] - column + window - 1
    pairs = table[apart].permute(2, 0, 1)[None]
    return pairs if masked is None else pairs + masked


def bicubic(length: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Four taps and their weights that stretch an axis, ends aligned, shapes (wanted, 4), (wanted, 4, 1)."""
    position = torch.arange(wanted, dtype=torch.float64) * (length - 1) / max(1, wanted - 1)
    first = position.floor()
    apart = (position - first)[:, None] - torch.arange(-1, 3)
    near, far = apart.abs(), apart.abs()
    inner = (_A + 2) * near**3 - (_A + 3) * near**2 + 1
    outer = _A * far**3 - 5 * _A * far**2 + 8 * _A * far - 4 * _A
    weights = torch.where(near <= 1, inner, outer)
    taps = (first.long()[:, None] + torch.arange(-1, 3)).clamp(0, length - 1)
    return taps, weights[..., None].float()


def _windows(grid: Tensor, window: int) -> Tensor:
    """(height, width) -> (windows, tokens)."""
    height, width = grid.shape
    parts = grid.view(height // window, window, width // window, window)
    return parts.permute(0, 2, 1, 3).reshape(-1, window * window)
