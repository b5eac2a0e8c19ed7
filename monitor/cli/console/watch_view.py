"""What a monitor hears now, on a terminal or in a pipe."""

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

from monitor.cli.console.watch_state import Row, WatchState

BAR = 32
"""Characters of a bar; it ends at score 1."""

NEAR = 0.6
"""From this share of the threshold on a sound is a candidate."""

MOST_NEWS = 10
LOWEST_DBFS = -80.0


def watch(lines: Iterable[Mapping[str, Any]], *, as_json: bool, stream: TextIO = sys.stdout) -> None:
    """Show lines of `monitor.outputs.live.watch` until they end.

    Parameters
    ----------
    lines : iterable
    as_json : bool
        Print each as it is, one JSON object a line.
    stream : text file
        A terminal is drawn on; a pipe gets a line for every window, event and near miss.
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else it is raised once more at the exit


def _print(lines: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    scene = WatchState()
    for line in lines:
        words = scene.take(line)
        if line["kind"] == "scores":
            words = _window(scene, line)
        if words is not None:
            print(words, file=stream, flush=True)


def _window(scene: WatchState, line: Mapping[str, Any]) -> str:
    """Return one line about a window: its level and what it sounds most like."""
    best = [row for row in scene.rows() if row.source == line["source"]][:3]
    heard = ", ".join(f"{scene.title(row.label)} {row.score:.2f}" for row in best)
    when = time.strftime("%H:%M:%S", time.localtime(line["at"]))
    return f"{when}  {line['source']}  {_level(line['level_dbfs'])}  {line['gated'] or heard}"


def _draw(lines: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    scene = WatchState()
    console = Console(file=stream)
    with Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        drawn_at = 0.0
        for line in lines:
            scene.take(line)
            if time.monotonic() >= drawn_at + 0.1:  # no terminal is read faster
                drawn_at = time.monotonic()
                live.update(picture(scene, console.size.height), refresh=True)
    console.print("the monitor has ended", style="dim")


def picture(scene: WatchState, height: int) -> RenderableType:
    """Return what is drawn on a terminal of so many lines."""
    head = _head(scene)
    levels = Table.grid(padding=(0, 2))
    for source, dbfs in scene.levels.items():
        share = 0.0 if dbfs is None else max(0.0, 1 - dbfs / LOWEST_DBFS)
        gated = scene.gated[source]
        levels.add_row(
            Text(source, "bold"), Text(_level(dbfs)), _bar(share, None, "cyan"), Text(gated or "", "dim")
        )
    news = list(scene.news)[-MOST_NEWS:]
    room = height - len(head) - len(scene.levels) - len(news) - 4
    rows = scene.rows()
    scores = Table.grid(padding=(0, 2))
    for row in rows[: max(0, room)]:
        scores.add_row(
            Text(row.source, "dim"),
            Text(scene.title(row.label), _style(row)),
            _bar(row.score, row.threshold, _style(row)),
            Text(f"{row.score:.2f} of {row.threshold:.2f}"),
        )
    left = len(rows) - max(0, room)
    more = Text(f"and {left} more, further away" if left > 0 else "", "dim")
    return Group(
        *head, Text(), levels, Text(), scores, more, *(Text(line, _news_style(line)) for line in news)
    )


def _head(scene: WatchState) -> list[Text]:
    status = scene.status
    if not status:
        return [Text("clap-monitor", "bold")]
    how = "healthy" if not status["problems"] else "unhealthy"
    line = f"clap-monitor as {status['node']}: {how}, lag {status['lag_seconds']:.1f} s"
    head = [Text(f"{line}, real-time factor {status['real_time_factor']:.3f}", "bold")]
    head += [Text(f"! {problem['what']}: {problem['why']}", "red") for problem in status["problems"]]
    return head if status["armed"] else [*head, Text("listening is switched off", "yellow")]


def _bar(share: float, mark: float | None, style: str) -> Text:
    """Return a bar from 0 to 1, with a mark where the threshold is."""
    filled = round(min(1.0, max(0.0, share)) * BAR)
    text = Text("█" * filled + "·" * (BAR - filled), style)
    if mark is None:
        return text
    place = min(BAR - 1, round(mark * BAR))
    return Text.assemble(text[:place], ("┃", "bold"), text[place + 1 :])


def _style(row: Row) -> str:
    return "red" if row.share >= 1 else "yellow" if row.share >= NEAR else "green"


def _news_style(line: str) -> str:
    return "bold" if "  start  " in line else "dim" if "  no     " in line else ""


def _level(dbfs: float | None) -> str:
    return "  silent" if dbfs is None else f"{dbfs:4.0f} dBFS"
