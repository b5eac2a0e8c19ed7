"""Commands that ask a monitor that runs: reload."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import ConfigFile, app
from monitor.logs import log_to_stderr

StateDirectory = Annotated[
    Path | None,
    typer.Option("--state", help="State directory of the monitor that runs; else that of the configuration."),
]


@app.command()
def reload(config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Let the monitor that runs read its configuration again; it loses no window by that.

    What cannot be changed while it runs is named.  A file with faults is refused, and the old one holds.
    """
    log_to_stderr("warning")
    from monitor.config import state_of
    from monitor.control import ask_once

    done = ask_once(state or state_of(config), {"command": "reload"})
    for line in done["changed"]:
        print(line)
    for line in done["needs_restart"]:
        print(f"{line}: needs a restart")
    for line in done["left_out"]:
        print(f"changed at run time: {line}; left out")
    if not any(done[key] for key in ("changed", "needs_restart", "left_out")):
        print("nothing has changed")
