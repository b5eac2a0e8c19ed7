"""View of `watch`: levels, scores and events, on a terminal or in a pipe."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitor.cli.console.status_view import clock
from monitor.cli.console.watch_state import Row, WatchState
from monitor.detection.near_misses import NEAR_SHARE

BAR = 32
"""Characters of a bar from 0 to 1."""

MOST_NEWS = 10
LOWEST_DBFS = -80.0


def watch(lines: Iterable[Mapping[str, Any]], *, as_json: bool, stream: TextIO = sys.stdout) -> None:
    """Show lines of `monitor.outputs.live.watch` until they end.

    A terminal is redrawn; a pipe gets one line per window, event and near miss.  As JSON, it gets all lines.
    """
    try:
        if as_json:
            for line in lines:
                print(json.dumps(line, ensure_ascii=False), file=stream, flush=True)
        elif stream.isatty():
            _draw(lines, stream)
        else:
            _print(lines, stream)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # otherwise it is raised again at the exit


def _print(lines: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    state = WatchState()
    for line in lines:
        text = state.apply(line)
        if line["kind"] == "scores":
            text = _window(state, line)
        if text is not None:
            print(text, file=stream, flush=True)


def _window(state: WatchState, line: Mapping[str, Any]) -> str:
    best = [row for row in state.rows() if row.source == line["source"]][:3]
    scores = ", ".join(f"{state.title(row.label)} {row.score:.2f}" for row in best)
    gated = (line["gated"] or "").replace("_", " ")
    return f"{clock(line['at'])}  {line['source']}  {_level(line['level_dbfs'])}  {gated or scores}"


def _draw(lines: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    state = WatchState()
    console = Console(file=stream)
    with Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        drawn_at = 0.0
        for line in lines:
            state.apply(line)
            if time.monotonic() >= drawn_at + 0.1:  # nobody reads a terminal faster
                drawn_at = time.monotonic()
                live.update(screen(state, console.size.height), refresh=True)
    console.print("the monitor has stopped", style="dim")


def screen(state: WatchState, height: int) -> RenderableType:
    """Return the screen for a terminal of ``height`` lines."""
    head = _head(state)
    levels = Table.grid(padding=(0, 2))
    for source, dbfs in state.levels.items():
        share = 0.0 if dbfs is None else max(0.0, 1 - dbfs / LOWEST_DBFS)
        gated = state.gated[source]
        levels.add_row(
            Text(source, "bold"), Text(_level(dbfs)), _bar(share, None, "cyan"), Text(gated or "", "dim")
        )
    news = list(state.news)[-MOST_NEWS:]
    room = height - len(head) - len(state.levels) - len(news) - 4
    rows = state.rows()
    scores = Table.grid(padding=(0, 2))
    for row in rows[: max(0, room)]:
        scores.add_row(
            Text(row.source, "dim"),
            Text(state.title(row.label), _style(row)),
            _bar(row.score, row.threshold, _style(row)),
            Text(f"{row.score:.2f} of {row.threshold:.2f}"),
        )
    left = len(rows) - max(0, room)
    more = Text(f"and {left} more with lower scores" if left > 0 else "", "dim")
    return Group(
        *head, Text(), levels, Text(), scores, more, *(Text(line, _news_style(line)) for line in news)
    )


def _head(state: WatchState) -> list[Text]:
    status = state.status
    if not status:
        return [Text("clap-monitor", "bold")]
    how = "healthy" if not status["problems"] else "unhealthy"
    line = f"clap-monitor as {status['node']}: {how}, lag {status['lag_seconds']:.1f} s"
    head = [Text(f"{line}, real-time factor {status['real_time_factor']:.3f}", "bold")]
    head += [Text(f"! {problem['what']}: {problem['why']}", "red") for problem in status["problems"]]
    return head if status["armed"] else [*head, Text("detection is disarmed", "yellow")]


def _bar(share: float, mark: float | None, style: str) -> Text:
    """Return a bar from 0 to 1, with a mark at the threshold."""
    filled = round(min(1.0, max(0.0, share)) * BAR)
    text = Text("█" * filled + "·" * (BAR - filled), style)
    if mark is None:
        return text
    place = min(BAR - 1, round(mark * BAR))
    return Text.assemble(text[:place], ("┃", "bold"), text[place + 1 :])


def _style(row: Row) -> str:
    return "red" if row.share >= 1 else "yellow" if row.share >= NEAR_SHARE else "green"


def _news_style(line: str) -> str:
    return "bold" if "  start  " in line else "dim" if "  near   " in line else ""


def _level(dbfs: float | None) -> str:
    return "  silent" if dbfs is None else f"{dbfs:4.0f} dBFS"
