"""Commands that are given once on a machine: install-service, download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import app
from monitor.cli.console import progress
from monitor.cli.logs import log_to_stderr


@app.command()
def install_service(
    user: Annotated[
        bool, typer.Option("--user", help="A service of this user, who has PipeWire or PulseAudio.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="[default: /etc/clap-monitor/monitor.yaml, or below ~/.config]"),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="Also a drop-in for NVIDIA cards.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit, and do nothing.")] = False,
) -> None:
    """Write the systemd unit for this machine, saying every step; drop-ins stay as they are."""
    from monitor.cli import service_unit

    where = service_unit.place(user=user, config=config)
    if dry_run:
        print(service_unit.unit_text(where), end="")
        return
    service_unit.install(where, gpu=gpu, run=service_unit.systemctl(user=user))


@app.command()
def download(
    checkpoint: Annotated[str, typer.Argument(help="Id on the hub.")] = "laion/larger_clap_general",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Fetch a checkpoint and pin what was got, so that the service can run offline."""
    log_to_stderr("warning")
    from monitor.model.hub import download as fetch

    print(fetch(checkpoint, revision, progress=progress()))
