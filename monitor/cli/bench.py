"""Command that measures the load: bench."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from monitor.cli.app import AsJson, Model, app


@app.command()
def bench(
    model: Model = "starter",
    labels: Annotated[int, typer.Option(min=1, max=200, help="Number of labels.")] = 10,
    sources: Annotated[int, typer.Option(min=1, max=256, help="Number of sources.")] = 1,
    hop: Annotated[float | None, typer.Option(min=0.01, help="Seconds from one window to the next.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or int8.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the load on this machine: time per stage, memory, number of sources; and recommend settings."""
    from monitor.evaluation.bench import LESS_EXACT, measure

    found = measure(model, labels=labels, sources=sources, hop_seconds=hop, dtype=dtype)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    formats = ", ".join(
        f"{name} {took:.1f} ms{' (less exact, never chosen automatically)' if name == LESS_EXACT else ''}"
        for name, took in found.dtypes_ms.items()
    )
    print(
        f"{found.model} on {found.device} in {found.dtype} ({found.engine}), {found.labels} labels, "
        f"{found.sources} sources, windows of {found.window_seconds:g} s every {found.hop_seconds:g} s\n"
        f"window        {found.window_ms:.1f} ms of CPU time: spectrogram {found.spectrogram_ms:.1f}, "
        f"audio encoder {found.tower_ms:.1f}, other {found.rest_ms:.1f}\n"
        f"load          {found.real_time_factor:.3f} cores\n"
        f"capacity      {found.streams} sources at this hop\n"
        f"memory        {found.memory_mb:.0f} MB, peak {found.peak_mb:.0f} MB\n"
        f"audio encoder {formats}\n"
        f"recommended   window.hop_seconds {found.recommended_hop_seconds:g}, model.dtype "
        f"{found.recommended_dtype}, model.threads {found.recommended_threads}"
    )
