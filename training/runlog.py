"""The run log: one JSON object a line, and its curves."""

from __future__ import annotations

import json
from pathlib import Path


def append(path: Path, **values: float | str) -> None:
    """Add a line."""
    with path.open("a") as file:
        file.write(json.dumps({k: _short(v) for k, v in values.items()}) + "\n")


def read(path: Path) -> list[dict[str, float]]:
    """All lines, oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def plot(path: Path, picture: Path, x: str, curves: dict[str, tuple[str, ...]]) -> None:
    """Draw a panel for each entry of ``curves`` (title and keys) against ``x`` as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    lines = read(path)
    figure, panels = plt.subplots(len(curves), figsize=(8, 3 * len(curves)), sharex=True, squeeze=False)
    for panel, (title, keys) in zip(panels[:, 0], curves.items(), strict=True):
        for key in keys:
            points = [(line[x], line[key]) for line in lines if key in line]
            panel.plot(*zip(*points, strict=True), label=key)
        panel.set_title(title)
        panel.legend()
        panel.grid(alpha=0.3)
    panels[-1, 0].set_xlabel(x)
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    plt.close(figure)


def _short(value: float | str) -> float | str:
    return round(float(value), 4) if not isinstance(value, str) else value
