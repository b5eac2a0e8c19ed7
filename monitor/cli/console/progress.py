"""Progress and the summary of a run, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from monitor.cli.logs import say
from monitor.types import GateReason

if TYPE_CHECKING:
    from monitor.daemon.progress import Summary


def report(summary: Summary) -> None:
    """Print the summary of a run in one line, with what was lost."""
    gated: dict[GateReason, int] = {
        reason: count for reason, count in summary.gated.items() if reason != GateReason.UNCHANGED
    }
    losses = [
        f"{sum(gated.values())} windows gated ({_reasons(gated)})" if gated else "",
        f"{summary.late} windows late (the model is too slow)" if summary.late else "",
        f"{summary.lost_seconds:.1f} s of audio lost" if summary.lost_seconds else "",
    ]
    line = (
        f"{summary.audio_seconds:.1f} s of audio, {summary.windows} windows{_spared(summary)}, "
        f"{summary.events} events, real-time factor {summary.real_time_factor:.3f}"
    )
    say("; ".join([line, *filter(None, losses)]))


def _spared(summary: Summary) -> str:
    """Return how many windows the model heard, unless it was all."""
    unchanged = summary.gated.get(GateReason.UNCHANGED, 0)
    return f" (the model ran on {summary.windows - unchanged})" if unchanged else ""


def _reasons(gated: Mapping[GateReason, int]) -> str:
    order = sorted(gated, key=lambda reason: -gated[reason])
    return ", ".join(reason.replace("_", " ") for reason in order)


def steps() -> Callable[[str, int, int], None]:
    """Return a function that shows the current step on standard error, if that is a terminal."""

    def show(what: str, done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done} of {of} ", end="" if done < of else "\n", file=sys.stderr, flush=True)

    return show


def progress() -> Callable[[int, int], None]:
    """Return a function that shows the bytes of a download on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    if not sys.stderr.isatty():
        return lambda _done, _total: None
    bar = Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=Console(stderr=True))
    task = bar.add_task("download", total=None)
    bar.start()

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return show
