"""Commands to the running monitor: status, watch, reload."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, app

StateDirectory = Annotated[
    Path | None,
    typer.Option("--state", help="State directory of the running monitor. Default: as configured."),
]


@app.command()
def status(config: ConfigFile = None, state: StateDirectory = None, as_json: AsJson = False) -> None:
    """Show the state of the running monitor; exit code 0 if healthy, 1 if not, 69 if none is running."""
    from monitor.cli.console import page
    from monitor.config import state_of
    from monitor.daemon.control_socket import ask_once

    answer = ask_once(state or state_of(config), {"command": "status"})
    print(json.dumps(answer, ensure_ascii=False) if as_json else page(answer, time.time()))
    raise typer.Exit(1 if answer["problems"] else 0)


@app.command()
def watch(config: ConfigFile = None, state: StateDirectory = None, as_json: AsJson = False) -> None:
    """Show levels, scores, near misses and events of the running monitor live; Ctrl-C stops.

    In a pipe, it prints one line per window, event and near miss.
    """
    from monitor.cli.console.watch_view import watch as show
    from monitor.config import state_of
    from monitor.daemon.control_socket import ask

    with suppress(KeyboardInterrupt):
        show(ask(state or state_of(config), {"command": "watch"}), as_json=as_json, stream=sys.stdout)


@app.command()
def reload(config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Make the running monitor read its configuration again; no window is lost.

    Changes that need a restart are listed.  A file with errors is refused, and the old one stays in force.
    """
    from monitor.config import state_of
    from monitor.daemon.control_socket import ask_once

    done = ask_once(state or state_of(config), {"command": "reload"})
    for line in done["changed"]:
        print(line)
    for line in done["needs_restart"]:
        print(f"{line}: needs a restart")
    for line in done["left_out"]:
        print(f"run-time change dropped: {line}")
    if not any(done[key] for key in ("changed", "needs_restart", "left_out")):
        print("nothing has changed")
