"""Screen of `fleet`: a table of all nodes, those with a problem first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitor.fleet.node_state import NodeState
from monitor.fleet.nodes import ENTITIES, FleetSummary

REDRAW_SECONDS = 1.0

_COLUMNS = ("node", "state", "version", "calibration", "factor", "clock", "watchlist", "last event")
_FEW = ("node", "state", "watchlist", "last event")
"""Columns of a narrow terminal."""

_WIDE, _ENDLESS = 110, 1_000
"""Characters of a line with all columns; of one that nobody sees on a screen, in which nothing is cut."""

_AROUND = 6
"""Lines of the screen that are not rows."""

Look = Callable[[], tuple[list[NodeState], FleetSummary, str | None]]
"""Returns the nodes to show, the counts of all nodes, and what is wrong with the broker."""


def draw(look: Look, stream: TextIO = sys.stdout) -> None:
    """Redraw a terminal once a second until Ctrl-C; print the table once to anything else."""
    if not stream.isatty():
        console = Console(file=stream, width=_ENDLESS)
        console.print(screen(*look(), room=None))
        return
    console = Console(file=stream)
    with Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        while True:
            width, height = console.size
            live.update(screen(*look(), room=height - _AROUND, width=width), refresh=True)
            time.sleep(REDRAW_SECONDS)


def screen(
    states: list[NodeState],
    summary: FleetSummary,
    trouble: str | None,
    room: int | None,
    width: int = _ENDLESS,
) -> RenderableType:
    """Return the table, with at most ``room`` rows, None: all of them, for lines of ``width`` characters."""
    ordered = sorted(states, key=lambda state: (_rank(state), state.node))
    shown = ordered if room is None else ordered[: max(1, room)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = _COLUMNS if width >= _WIDE else _FEW
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    for state in shown:
        cells = dict(zip(_COLUMNS, _row(state), strict=True))
        table.add_row(*(cells[column] for column in columns))
    left = len(ordered) - len(shown)
    more = [Text(f"and {left} more; see --node, --label and --no-audio", "dim")] if left else []
    return Group(*_head(summary, trouble), Text(), table, *more)


def _head(summary: FleetSummary, trouble: str | None) -> list[Text]:
    refusing = f", {summary.refusing} refuse the watchlist" if summary.refusing else ""
    counts = f"{summary.nodes} nodes: {summary.online} online, {summary.no_audio} without audio{refusing}"
    lines = [Text(f"{counts}; {summary.entities} of {ENTITIES} entities of Home Assistant", "bold")]
    if summary.entities > ENTITIES:
        fix = "set mqtt.discovery: summary"
        lines.append(Text(f"! Home Assistant drops {summary.entities - ENTITIES} entities: {fix}", "red"))
    if trouble is not None:
        lines.append(Text(f"! {trouble}", "red"))
    return lines


def _rank(state: NodeState) -> int:
    refuses = state.watchlist is not None and state.watchlist.reason is not None
    return 0 if state.no_audio is not None else 1 if state.problems or refuses else 2


def _row(state: NodeState) -> list[Text]:
    style = ("red", "yellow", "")[_rank(state)]
    factor = "" if state.real_time_factor is None else f"{state.real_time_factor:.3f}"
    cells = [state.node, _state(state), state.version or "", state.calibration or "", factor]
    cells += [_clock(state), _watchlist(state), _last(state)]
    return [Text(cell, style) for cell in cells]


def _state(state: NodeState) -> str:
    if state.no_audio is not None:
        return f"no audio: {state.no_audio}" if state.online else "offline"
    if state.problems:
        return state.problems[0]
    return "online" if state.armed is not False else "disarmed"


def _clock(state: NodeState) -> str:
    if state.clock_synchronised is None:
        return "unknown"
    if not state.clock_synchronised:
        return "not set"
    return "set" if state.clock_error_seconds is None else f"±{state.clock_error_seconds:.3f} s"


def _watchlist(state: NodeState) -> str:
    if state.watchlist is None:
        return ""
    if state.watchlist.reason is not None:
        return f"refused: {state.watchlist.reason}"
    return "none yet" if state.watchlist.version is None else str(state.watchlist.version)


def _last(state: NodeState) -> str:
    event = state.last_event
    if event is None:
        return ""
    return f"{_when(event.started_at)}  {event.source}  {event.label_name}  ({event.peak_score:.2f})"


def _when(at: float) -> str:
    """Return the local time of a moment, with its day if that is not today."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)
