"""Plot of recall against false alarms."""

from __future__ import annotations

from pathlib import Path

from monitor.evaluation.report import Detection, Report
from monitor.system.boundary import boundary
from monitor.types import OutputError

_RANGE = (0.05, 12.0)
"""Range of false alarms an hour; with more, events merge and recall falls and rises."""


def plot(report: Report, path: Path) -> tuple[Path, Path]:
    """Draw the curve of every label, with the default threshold as a dot, to PATH.png and PATH.svg.

    Raises
    ------
    OutputError
        There is no detection to draw, or the files cannot be written.
    """
    if not report.detection:
        raise OutputError(f"{path}: only clips were measured, there is no curve to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label in report.labels:
        _draw(axes, report.detection[label], label, width=1.0)
    _draw(axes, report.detection["all"], "all, one threshold", width=3.0, colour="black")
    axes.set(
        xscale="log",
        xlim=_RANGE,
        ylim=(0, 1),
        xlabel="false alarms per hour and label",
        ylabel="recall",
        title=f"{report.model}: {report.hours:.1f} h, dots: default threshold",
    )
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="x-small", ncols=2, loc="upper left")
    files = path.with_suffix(".png"), path.with_suffix(".svg")
    with boundary(OutputError, f"{path}: cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            figure.savefig(file, dpi=150)
    return files


def _draw(axes: object, found: Detection, name: str, *, width: float, colour: str | None = None) -> None:
    """Draw one curve; no false alarm at all stands at the left edge."""
    points = sorted((max(point.false_per_hour, _RANGE[0]), point.recall) for point in found.curve)
    false, recall = zip(*points, strict=True)
    (line,) = axes.step(false, recall, where="post", linewidth=width, color=colour, label=name)  # type: ignore[attr-defined]
    if found.false_per_hour.value is not None and found.recall.value is not None:
        x = max(found.false_per_hour.value, _RANGE[0])
        axes.plot([x], [found.recall.value], "o", markersize=3 + width, color=line.get_color())  # type: ignore[attr-defined]
