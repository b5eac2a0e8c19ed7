"""Command that exports a checkpoint for ONNX Runtime: export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import app
from monitor.cli.console.progress import steps


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="starter, a directory, or an id on the hub.")],
    onnx: Annotated[
        Path | None,
        typer.Option(
            "--onnx", metavar="DIR", help="New directory for the export. [default: beside the checkpoint]"
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write a second audio encoder, for model.dtype int8.")
    ] = False,
) -> None:
    """Export a checkpoint for ONNX Runtime, and check it against torch."""
    from monitor.model.hub import resolve

    directory = resolve(checkpoint, revision)
    export_and_report(directory, onnx or directory, int8=int8)


def export_and_report(checkpoint: Path, directory: Path, *, int8: bool) -> None:
    """Export the checkpoint in one directory into another, and say so on a line for each audio encoder."""
    from monitor.evaluation.onnx_export import export as export_onnx
    from monitor.model.checkpoint import read

    progress = partial(steps(), "windows compared")
    made = export_onnx(read(checkpoint), directory, progress=progress, int8=int8)
    seconds = made.manifest.seconds
    print(
        f"{made.directory}: {made.megabytes:.1f} MB, lowest cosine {made.manifest.cosine:.7f} "
        f"over {made.windows} windows; a window takes {1000 * seconds['onnx']:.1f} ms, in torch "
        f"{1000 * seconds['torch']:.1f} ms"
    )
    rounded = made.manifest.int8
    if rounded is not None:
        print(
            f"in int8: lowest cosine {rounded.cosine:.4f}, a window takes {1000 * rounded.seconds:.1f} ms; "
            "`clap-monitor qualify`, or the first run, with model.dtype int8 measures calibration and recall"
        )
