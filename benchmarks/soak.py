"""Memory, threads and files of the service while everything around it comes and goes.

    python -m benchmarks.soak [--minutes 60]

``clap-monitor run`` is a process of its own, with store, clips, page and metrics.  It hears the demo
recording from a pipe and a tone from an HTTP server, and tells a real mosquitto.  Meanwhile eight clients of
the page come and go, and the broker and the HTTP server end and begin again.
Printed is, once a minute, what the process holds; at the end the most of each quarter, and how fast its
memory grew after the first quarter.  Exit status 1 if that is more than ``--most`` megabytes an hour.

Memory is ``RssAnon`` of /proc/PID/status: what only this process holds.  Resident files come and go with what
other programs need.  For some minutes at a time it is 7 MB higher, between a large allocation and the next
return of free memory; a least-squares slope over half an hour of that is uncertain by 4 MB an hour, so the
slope is the median one between medians of three minutes (Theil and Sen), with its interval.

``--broker``, ``--stream`` and ``--clients 0`` choose what comes and goes, to find out what grows.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml
from scipy.stats import theilslopes
from websockets.sync.client import connect

from benchmarks.memory import RATE, speak
from tests.support.broker import Broker, eventually, free_port
from tests.support.http_radio import Radio

PAGES = ("/", "/api/status", "/api/events", "/api/labels", "/api/day", "/api/misses", "/metrics")
SAMPLE_SECONDS = 5.0
MEDIAN_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at one moment."""

    at: float
    """Seconds since the first."""
    memory: float
    """Anonymous resident memory, in MB."""
    threads: int
    files: int


def main() -> int:
    """Start everything, look for so long, judge."""
    given = _arguments()
    stop = threading.Event()
    with (
        tempfile.TemporaryDirectory() as directory,
        Broker(Path(directory)) as broker,
        Radio("mp3") as radio,
    ):
        page = free_port()
        process = start(Path(directory), broker.port, radio.url(), page)
        speaker = threading.Thread(target=speak, args=(process,), daemon=True)
        speaker.start()
        eventually(lambda: _fetched(page, "/api/status"))
        workers = [threading.Thread(target=visit, args=(page, stop, n)) for n in range(given.clients)]
        if given.broker:
            workers.append(
                threading.Thread(target=again_and_again, args=(stop, given.broker, broker.stop, broker.start))
            )
        if given.stream:
            off, on = radio.hung_up.set, radio.hung_up.clear
            workers.append(threading.Thread(target=again_and_again, args=(stop, given.stream, off, on)))
        for worker in workers:
            worker.start()
        try:
            samples = watch(psutil.Process(process.pid), 60 * given.minutes)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
            process.terminate()
            process.wait(30)
            eventually(lambda: not speaker.is_alive())
    return report(samples, given.most)


def start(place: Path, broker: int, stream: str, page: int) -> subprocess.Popen[bytes]:
    """Start the monitor, with everything on."""
    config = {
        "sources": [
            {"name": "room", "kind": "pcm", "rate": RATE},
            {"name": "radio", "kind": "stream", "url": stream},
        ],
        "mqtt": {"host": "127.0.0.1", "port": broker},
        "store": {"enabled": True},
        "clips": {"enabled": True, "max_megabytes": 50},
        "web": {"enabled": True, "port": page},
        "metrics": {"enabled": True, "port": free_port()},
    }
    (place / "monitor.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
    with (place / "events.jsonl").open("w") as events, (place / "log").open("w") as log:
        return subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE, stdout=events, stderr=log)


def visit(page: int, stop: threading.Event, seed: int) -> None:
    """Be a client of the page that comes, looks for a moment, and goes, not always politely."""
    rng = random.Random(seed)
    while not stop.is_set():
        with contextlib.suppress(OSError, TimeoutError, EOFError):
            match rng.randrange(3):
                case 0:
                    _fetched(page, rng.choice(PAGES))
                case 1:
                    with urllib.request.urlopen(f"http://127.0.0.1:{page}/api/live", timeout=20) as news:
                        for _ in range(rng.randrange(1, 50)):
                            news.readline()
                case _:
                    with connect(
                        f"ws://127.0.0.1:{page}/api/live/ws", origin=None, close_timeout=1
                    ) as socket:
                        for _ in range(rng.randrange(1, 10)):
                            socket.recv(timeout=10)
        stop.wait(rng.uniform(0.1, 2.0))


def again_and_again(
    stop: threading.Event, seconds: float, off: Callable[[], object], on: Callable[[], object]
) -> None:
    """End something and begin it again, every so many seconds."""
    while not stop.wait(seconds * 0.8):
        off()
        stop.wait(seconds * 0.2)
        on()


def watch(process: psutil.Process, seconds: float) -> list[Sample]:
    """Look every few seconds; print a line a minute."""
    samples: list[Sample] = []
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        sample = Sample(at, anonymous_megabytes(process.pid), process.num_threads(), process.num_fds())
        if not samples or int(at / 60) > int(samples[-1].at / 60):
            print(
                f"{at / 60:4.0f} min  {sample.memory:6.1f} MB  "
                f"{sample.threads} threads  {sample.files} files",
                flush=True,
            )
        samples.append(sample)
        time.sleep(SAMPLE_SECONDS)
    return samples


def anonymous_megabytes(pid: int) -> float:
    """Return the resident memory that no file is behind."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def report(samples: list[Sample], most: float) -> int:
    """Print the most of each quarter and the slope; return the exit status."""
    quarters = [[samples[index] for index in part] for part in np.array_split(np.arange(len(samples)), 4)]
    for number, quarter in enumerate(quarters, 1):
        memory = [each.memory for each in quarter]
        print(
            f"quarter {number}: median {np.median(memory):.1f} MB, at most {max(memory):.1f} MB, "
            f"{max(each.threads for each in quarter)} threads, {max(each.files for each in quarter)} files"
        )
    slope, low, high = growth([sample for quarter in quarters[1:] for sample in quarter])
    print(f"after the first quarter: {slope:+.1f} MB an hour ({low:+.1f} to {high:+.1f})")
    return int(slope > most)


def growth(samples: list[Sample]) -> tuple[float, float, float]:
    """Return the slope in MB an hour, and the interval that contains it in 95 of 100 runs."""
    blocks: dict[int, list[Sample]] = {}
    for sample in samples:
        blocks.setdefault(int(sample.at / MEDIAN_SECONDS), []).append(sample)
    hours = [float(np.median([each.at for each in block])) / 3600 for block in blocks.values()]
    memory = [float(np.median([each.memory for each in block])) for block in blocks.values()]
    found = theilslopes(memory, hours)
    return float(found.slope), float(found.low_slope), float(found.high_slope)


def _fetched(page: int, path: str) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{page}{path}", timeout=20) as answer,
    ):
        answer.read()
        return True
    return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--broker", type=float, default=60.0, help="seconds from one restart to the next; 0: never"
    )
    parser.add_argument("--stream", type=float, default=45.0, help="the same for the HTTP server")
    parser.add_argument("--most", type=float, default=3.0, help="megabytes an hour that are let pass")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
