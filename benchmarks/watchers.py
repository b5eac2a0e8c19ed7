"""Fifty watch the page for five minutes and ten of them read nothing: what it costs the analysis.

    python -m benchmarks.watchers [--minutes 5] [--readers 40] [--stalled 10] [--sources 4]

The monitor is the real one, a process of its own; it hears the demo recording from several sources at once.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from tests.support.broker import free_port

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Parse, start, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--readers", type=int, default=40)
    parser.add_argument("--stalled", type=int, default=10)
    parser.add_argument("--sources", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        process = start(Path(directory), port, given.sources, given.minutes)
        try:
            measure(port, psutil.Process(process.pid), given)
        finally:
            process.terminate()
            process.wait(20)


def measure(port: int, process: psutil.Process, given: argparse.Namespace) -> None:
    """Watch for so long and print what came of it."""
    time.sleep(10)
    alone = status(port)
    quiet = process.memory_info().rss
    readers = [watcher(port, None) for _ in range(given.readers)]
    stalled = [watcher(port, 2048) for _ in range(given.stalled)]
    began, sizes, lags = time.monotonic(), list[int](), list[float]()
    received = dict.fromkeys(readers, 0)
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while time.monotonic() - began < 60 * given.minutes:
            for key, _ in selector.select(1.0):
                received[key.fileobj] += len(key.fileobj.recv(1 << 16))  # type: ignore[index,union-attr]
            if time.monotonic() - began > 5 * len(sizes):
                sizes.append(process.memory_info().rss)
                lags.append(status(port)["lag_seconds"])
    told = status(port)
    windows, before = told["windows"], alone["windows"]
    half = len(sizes) // 2
    scored, skipped = (windows[key] - before[key] for key in ("scored", "late"))
    least, most = min(received.values()), max(received.values())
    first, second = (max(part) / 1e6 for part in (sizes[:half], sizes[half:]))
    web = told["web"]
    print(f"{given.readers} read, {given.stalled} stalled, {given.minutes:g} min, {given.sources} sources")
    print(f"windows scored {scored}, left out {skipped}; behind at most {max(lags):.2f} s")
    print(f"stalled watchers dropped {web['dropped']}; still watching {web['watchers']}")
    print(f"messages not made {web['skipped']}; received {least} to {most} bytes")
    print(f"memory {quiet / 1e6:.0f} MB with nobody; at most {first:.0f}, in the second half {second:.0f}")
    for each in [*readers, *stalled]:
        each.close()


def start(directory: Path, port: int, sources: int, minutes: float) -> subprocess.Popen[bytes]:
    """Start a monitor that hears the demo again and again, and wait for its page."""
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(directory / "long.flac", np.tile(samples, int(minutes) + 3), rate)
    lines = ["sources:", *(f"- {{name: s{i}, kind: file, path: long.flac}}" for i in range(sources))]
    (directory / "monitor.yaml").write_text("\n".join([*lines, f"web: {{enabled: true, port: {port}}}", ""]))
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    while True:
        try:
            status(port)
        except OSError:
            time.sleep(0.5)
        else:
            return process


def watcher(port: int, receive_bytes: int | None) -> socket.socket:
    """Return a connection to the event stream."""
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect(("127.0.0.1", port))
    connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def status(port: int) -> dict[str, Any]:
    """What the monitor says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=20) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
