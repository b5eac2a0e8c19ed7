"""Commands that set up a machine: install-service, download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import ConfigFile, app
from monitor.cli.console import progress
from monitor.cli.export import export_and_report
from monitor.cli.options import Overrides, settings_from
from monitor.cli.qualify import qualify_and_report
from monitor.cli.remote import StateDirectory


@app.command()
def install_service(
    user: Annotated[
        bool, typer.Option("--user", help="Install a user service, which can use PipeWire or PulseAudio.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="[default: /etc/clap-monitor/monitor.yaml, or below ~/.config]"),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="Also write a drop-in for NVIDIA GPUs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit and change nothing.")] = False,
) -> None:
    """Write the systemd unit for this machine, step by step; drop-ins are kept."""
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
    config: ConfigFile = None,
    state: StateDirectory = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, torch or onnx. [default: model.engine of the configuration]")
    ] = None,
    no_qualify: Annotated[
        bool, typer.Option("--no-qualify", help="Leave the calibration to the first `run`.")
    ] = False,
) -> None:
    """Download a checkpoint and pin its revision, so that the service can run offline; then qualify it.

    With engine onnx it is exported for ONNX Runtime first, in int8 as well if that is model.dtype.
    """
    if engine not in (None, "auto", "torch", "onnx"):
        raise typer.BadParameter(f"--engine: {engine!r} is none of auto, torch, onnx")
    settings = settings_from(config, Overrides(model=checkpoint, state=state))
    if engine is not None:
        model = settings.model.model_copy(update={"engine": engine})
        settings = settings.model_copy(update={"model": model})
    from monitor.model.hub import download as fetch

    directory = fetch(checkpoint, revision, progress=progress())
    print(directory, flush=True)
    if settings.model.engine == "onnx":
        export_and_report(directory, directory, int8=settings.model.dtype == "int8")
    if not no_qualify:
        qualify_and_report(settings)
