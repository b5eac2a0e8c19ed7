"""Cost of torch and ONNX Runtime: start, memory, time of a window, installed size.

    python -m benchmarks.engines [--runs 3] [--seconds 30] [--checkpoint starter]

``clap-monitor run`` is a process of its own, with store and page on and known prompts; it hears the demo
recording as raw samples from a pipe, at the pace of time.  "Ready" is when it tells systemd so; "processor"
is its time on the processor until then, which other work on the machine hardly changes; memory is what is
resident after so many seconds, and how much of it is anonymous (no page of a file).  A window's time is the
processor time of the audio encoder, the engines in turn, medians, one thread.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import yaml

from benchmarks.memory import RATE, speak
from monitor.model.clap import Clap
from tests.support.broker import free_port

ENGINES = ("torch", "onnx")
BATCHES = (1, 2, 4, 8, 16)
_PATIENCE_SECONDS = 120.0
_ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Service:
    """What one start of the service costs."""

    ready_seconds: float
    processor_seconds: float
    resident_mb: float
    anonymous_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    given = parser.parse_args()
    engines = given.engine or ENGINES
    print(
        f"installed in {sys.prefix}: {installed_mb(Path(sys.prefix)):.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    print("engine    ready s   processor s   resident MB   anonymous MB   (service, medians)")
    with tempfile.TemporaryDirectory() as place:
        services: dict[str, list[Service]] = {engine: [] for engine in engines}
        for number in range(given.runs + 1):
            for engine in engines:  # in turn; the first run embeds the prompts and does not count
                model = {"checkpoint": given.checkpoint, "engine": engine, "device": "cpu"}
                seconds = given.seconds if number else 1.0
                found = start(Path(place), model, seconds)
                if number:
                    services[engine].append(found)
        for engine, runs in services.items():
            ready, processor, resident, anonymous = (
                median(getattr(run, name) for run in runs) for name in Service.__slots__
            )
            print(f"{engine:<8} {ready:8.2f} {processor:13.2f} {resident:13.0f} {anonymous:14.0f}")
    print("windows" + "".join(f"{engine:>12}" for engine in engines) + "   (ms a window)")
    towers = {engine: Clap.load(given.checkpoint, engine=engine) for engine in engines}
    for batch in BATCHES:
        times = window_ms(towers, batch)
        print(f"{batch:>7}" + "".join(f"{times[engine]:12.2f}" for engine in engines))


def start(place: Path, model: dict[str, str], seconds: float) -> Service:
    """Start the service, wait until it is ready, and some seconds longer."""
    config = {
        "model": model,
        "sources": [{"name": "room", "kind": "pcm", "rate": RATE}],
        "store": {"enabled": True},
        "web": {"enabled": True, "port": free_port()},
    }
    (place / "monitor.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (place / "out").open("w") as out:
        manager.bind(f"\0clap-monitor-{os.getpid()}-{time.monotonic_ns()}")
        manager.settimeout(_PATIENCE_SECONDS)
        address = "@" + manager.getsockname()[1:].decode()
        environment = os.environ | {
            "NOTIFY_SOCKET": address,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PYTHONPYCACHEPREFIX": str(place / "bytecode"),  # as installed, whatever is so here
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE, stdout=out, env=environment)
        speaker = threading.Thread(target=speak, args=(process,), daemon=True)
        speaker.start()
        while b"READY=1" not in manager.recv(4096):
            pass
        ready, processor = time.monotonic() - begin, processor_seconds(process.pid)
        time.sleep(seconds)
        resident, anonymous = memory_mb(process.pid)
    process.terminate()
    process.wait(30)
    speaker.join()
    return Service(ready, processor, resident, anonymous)


def processor_seconds(process: int) -> float:
    """Time on the processor of a process and of the children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> tuple[float, float]:
    """Resident memory, and how much of it is anonymous."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return int(sizes["VmRSS"]) * 1024 / 1e6, int(sizes["RssAnon"]) * 1024 / 1e6


def window_ms(towers: dict[str, Clap], batch: int) -> dict[str, float]:
    """Processor time of each engine for one window of a batch."""
    some = next(iter(towers.values()))
    shape = (batch, some.mel_config.frames, some.mel_config.mel_bins)
    spectrograms = np.random.default_rng(0).normal(-40.0, 10.0, shape).astype(np.float32)
    times: dict[str, list[float]] = {engine: [] for engine in towers}
    for number in range(_ROUNDS + 1):
        for engine, clap in towers.items():
            begin = time.process_time()
            clap.embed_log_mel(spectrograms)
            if number:
                times[engine].append(1000 * (time.process_time() - begin) / batch)
    return {engine: median(found) for engine, found in times.items()}


def installed_mb(prefix: Path) -> float:
    """Size of an environment."""
    return sum(path.stat().st_size for path in prefix.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
