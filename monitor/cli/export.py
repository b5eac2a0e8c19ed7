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
) -> None:
    """Export a checkpoint for ONNX Runtime, and check it against torch."""
    from monitor.model.hub import resolve

    directory = resolve(checkpoint, revision)
    export_and_report(directory, onnx or directory)


def export_and_report(checkpoint: Path, directory: Path) -> None:
    """Export the checkpoint in one directory into another, and say so on one line."""
    from monitor.evaluation.onnx_export import export as export_onnx
    from monitor.model.checkpoint import read

    made = export_onnx(read(checkpoint), directory, progress=partial(steps(), "windows compared"))
    seconds = made.manifest.seconds
    print(
        f"{made.directory}: {made.megabytes:.1f} MB, least cosine {made.manifest.cosine:.7f} "
        f"over {made.windows} windows; a window takes {1000 * seconds['onnx']:.1f} ms, in torch "
        f"{1000 * seconds['torch']:.1f} ms"
    )
