"""The command that measures: bench."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from monitor.cli.app import AsJson, Model, app
from monitor.cli.logs import log_to_stderr


@app.command()
def bench(
    model: Model = "starter",
    labels: Annotated[int, typer.Option(min=1, max=200, help="How many labels.")] = 10,
    sources: Annotated[int, typer.Option(min=1, max=256, help="How many sources.")] = 1,
    hop: Annotated[float | None, typer.Option(min=0.01, help="Seconds between windows.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or int8.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure what listening costs here: stages, memory, sources that this machine carries, advice."""
    log_to_stderr("warning")
    from monitor.evaluation.bench import LESS_EXACT, measure

    found = measure(model, labels=labels, sources=sources, hop_seconds=hop, dtype=dtype)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    formats = ", ".join(
        f"{name} {took:.1f} ms{' (less exact: never chosen by itself)' if name == LESS_EXACT else ''}"
        for name, took in found.dtypes_ms.items()
    )
    print(
        f"{found.model} on {found.device} in {found.dtype}, {found.labels} labels, {found.sources} sources, "
        f"windows of {found.window_seconds:g} s every {found.hop_seconds:g} s\n"
        f"a window      {found.window_ms:.1f} ms of processor: spectrogram {found.spectrogram_ms:.1f}, tower "
        f"{found.tower_ms:.1f}, the rest {found.rest_ms:.1f}\n"
        f"load          {found.real_time_factor:.3f} of a core\n"
        f"carries       {found.streams} sources at this hop\n"
        f"memory        {found.memory_mb:.0f} MB, at most {found.peak_mb:.0f}\n"
        f"tower         {formats}\n"
        f"recommended   window.hop_seconds {found.recommended_hop_seconds:g}, model.dtype "
        f"{found.recommended_dtype}, model.threads {found.recommended_threads}"
    )
