"""What people see on standard error while a command works: progress and the summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from monitor.cli.logs import say
from monitor.types import GateReason

if TYPE_CHECKING:
    from monitor.daemon.progress import Summary


def report(summary: Summary) -> None:
    """Say in one line what a run did; losses are named."""
    losses = [
        f"{sum(summary.gated.values())} windows not scored ({_reasons(summary.gated)})"
        if summary.gated
        else "",
        f"{summary.late} windows late (the model is too slow)" if summary.late else "",
        f"{summary.lost_seconds:.1f} s of audio lost" if summary.lost_seconds else "",
    ]
    line = (
        f"{summary.audio_seconds:.1f} s of audio, {summary.windows} windows, {summary.events} events, "
        f"real-time factor {summary.real_time_factor:.3f}"
    )
    say("; ".join([line, *filter(None, losses)]))


_REASONS = {
    GateReason.SILENCE: "silence",
    GateReason.DIGITAL_SILENCE: "digital silence",
    GateReason.NON_FINITE: "invalid samples",
    GateReason.NO_EMBEDDING: "no embedding",
    GateReason.GAP: "gaps",
    GateReason.DISARMED: "disarmed",
    GateReason.UNCHANGED: "unchanged",
}


def _reasons(gated: Mapping[GateReason, int]) -> str:
    """Why windows were not scored, the most frequent reason first."""
    order = sorted(gated, key=lambda reason: -gated[reason])
    return ", ".join(_REASONS[reason] for reason in order)


def steps() -> Callable[[str, int, int], None]:
    """Show what is being done on standard error, if somebody looks."""

    def show(what: str, done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done} of {of} ", end="" if done < of else "\n", file=sys.stderr, flush=True)

    return show


def progress() -> Callable[[int, int], None]:
    """Show bytes done of bytes in all on standard error, if somebody looks."""
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
