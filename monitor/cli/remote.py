"""Commands that ask a monitor that runs: status, watch, reload."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, app
from monitor.cli.logs import log_to_stderr

StateDirectory = Annotated[
    Path | None,
    typer.Option("--state", help="State directory of the monitor that runs; else that of the configuration."),
]


@app.command()
def status(config: ConfigFile = None, state: StateDirectory = None, as_json: AsJson = False) -> None:
    """Say how the monitor that runs is; exit code 0 if it is healthy, 1 if not, 69 if none runs."""
    log_to_stderr("warning")
    from monitor.cli.console import page
    from monitor.config import state_of
    from monitor.daemon.control_socket import ask_once

    told = ask_once(state or state_of(config), {"command": "status"})
    print(json.dumps(told, ensure_ascii=False) if as_json else page(told, time.time()))
    raise typer.Exit(1 if told["problems"] else 0)


@app.command()
def watch(config: ConfigFile = None, state: StateDirectory = None, as_json: AsJson = False) -> None:
    """Show levels, scores, candidates and events of the monitor that runs, as they come; Ctrl-C ends it.

    In a pipe it is a line for every window, event and near miss.
    """
    log_to_stderr("warning")
    from monitor.cli.console.watch_view import watch as show
    from monitor.config import state_of
    from monitor.daemon.control_socket import answers

    with suppress(KeyboardInterrupt):
        show(answers(state or state_of(config), {"command": "watch"}), as_json=as_json, stream=sys.stdout)


@app.command()
def reload(config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Let the monitor that runs read its configuration again; it loses no window by that.

    What cannot be changed while it runs is named.  A file with faults is refused, and the old one holds.
    """
    log_to_stderr("warning")
    from monitor.config import state_of
    from monitor.daemon.control_socket import ask_once

    done = ask_once(state or state_of(config), {"command": "reload"})
    for line in done["changed"]:
        print(line)
    for line in done["needs_restart"]:
        print(f"{line}: needs a restart")
    for line in done["left_out"]:
        print(f"changed at run time: {line}; left out")
    if not any(done[key] for key in ("changed", "needs_restart", "left_out")):
        print("nothing has changed")
