"""Memory of the running service: everything off, everything on, sentences new or known; both model sizes.

    python -m benchmarks.memory [--seconds 30] [--export DIR]

``clap-monitor run`` is a process of its own; it hears the demo recording as raw samples from a pipe, at the
pace of time, and tells a real mosquitto.  "Everything" is the store, clips, the page and somebody who watches
it.  The full size is that of ``laion/larger_clap_general``, with random weights.  Printed is what is resident
after so many seconds, and the most that ever was; a child that reads new sentences is counted beside it.
With ``--export`` a full size that was exported with ``--int8`` runs in ONNX Runtime instead.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import soundfile
import yaml

from benchmarks.many_sources import DEMO, build_apart, in_another_process, memory_mb, watch_page
from tests.support.broker import Broker, eventually, free_port

RATE = 32_000
"""Of the demo recording."""

EVERYTHING = ("store", "clips", "web")


def main() -> None:
    """Measure and print, one line a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--export", type=Path)
    given = parser.parse_args()
    print("model            on           sentences   MB   most   child")
    with tempfile.TemporaryDirectory() as directory, Broker(Path(directory)) as broker:
        place = Path(directory)
        full, engine = place / "full-size", "torch"
        dtypes: tuple[str, ...] = ("float32", "bfloat16", "int8")
        if given.export:
            full, engine, dtypes = given.export.absolute(), "onnx", ("float32", "int8")
        else:
            in_another_process(build_apart, full)
        cases = [("starter", "float32"), *(("full-size", dtype) for dtype in dtypes)]
        for model, dtype in cases:
            checkpoint = model if model == "starter" else str(full)
            settings = {"checkpoint": checkpoint, "dtype": dtype}
            if checkpoint != "starter":
                settings["engine"] = engine
            for on, known in ((), "new"), ((), "known"), (EVERYTHING, "known"):
                resident, most, child = measure(place, settings, broker.port, on, given.seconds)
                name = model if model == "starter" else f"full, {dtype}"
                what = "everything" if on else "nothing"
                print(
                    f"{name:<16} {what:<12} {known:<9} {resident:4.0f}   {most:4.0f}    {child:4.0f}",
                    flush=True,
                )


def measure(
    place: Path, model: dict[str, str], port: int, on: Sequence[str], seconds: float
) -> tuple[float, float, float]:
    """Resident now, the most ever, and the most of a child, in MB."""
    page = free_port()
    config = {
        "model": model,
        "sources": [{"name": "room", "kind": "pcm", "rate": RATE}],
        "mqtt": {"host": "127.0.0.1", "port": port},
        **{name: {"enabled": True} for name in on},
    }
    if "web" in on:
        config["web"] = {"enabled": True, "port": page}
    (place / "monitor.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
    with (place / "events.jsonl").open("w") as events:
        process = subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE, stdout=events)
    speaker = threading.Thread(target=speak, args=(process,), daemon=True)
    speaker.start()
    watched = psutil.Process(process.pid)
    watcher: subprocess.Popen[bytes] | None = None
    child, began = 0.0, time.monotonic()
    while time.monotonic() - began < seconds:
        child = max([child, *(_resident(each) for each in watched.children())])
        if watcher is None and "web" in on and time.monotonic() - began > seconds / 2:
            watcher = watch_page(page)
        time.sleep(0.1)
    resident, most = (memory_mb(what, process.pid) for what in ("VmRSS", "VmHWM"))
    process.terminate()
    process.wait(30)
    if watcher is not None:
        watcher.wait(30)
    eventually(lambda: not speaker.is_alive())
    return resident, most, child


def speak(process: subprocess.Popen[bytes]) -> None:
    """Write the demo recording into the pipe at the pace of time, until nobody listens."""
    samples, _ = soundfile.read(DEMO, dtype="int16")
    step, at, began = RATE // 10, 0, time.monotonic()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        while True:
            process.stdin.write(np.resize(np.roll(samples, -at), step).astype("<i2").tobytes())
            process.stdin.flush()
            at += step
            time.sleep(max(0.0, began + at / RATE - time.monotonic()))
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


if __name__ == "__main__":
    main()
