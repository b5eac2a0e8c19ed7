"""Search and replay over the page of a running monitor: how long they take, and what they cost the analysis.

    python -m benchmarks.page_memory [--days 7] [--times 20] [--busy 0]

The monitor is the real one, a process of its own; it hears the demo recording.  The memory of the days before
is made of windows of that recording.  ``--busy`` other processes want the CPU all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import psutil
import soundfile

from monitor.config import load
from monitor.evaluation.file_embedding import read_blocks
from monitor.evaluation.qualified_engine import load_qualified_engine
from tests.support.broker import free_port
from tests.support.remembered import remember

ROOT = Path(__file__).parents[1]
TOKEN = "made-up-for-the-benchmark"  # noqa: S105 - of this file alone
QUIET_SHARE = 0.999
"""Share of the past that is the first window of the demo, a quiet one."""


def main() -> None:
    """Parse, make the past, start, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--busy", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        count = make_past(Path(directory), port, given.days)
        command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
        environment = {**os.environ, "PAGE_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL)
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
        try:
            print(f"{count} windows of the past; {given.busy} other processes want the CPU")
            measure(port, psutil.Process(process.pid), given.times)
        finally:
            for each in [process, *busy]:
                each.terminate()
                each.wait(30)


def make_past(directory: Path, port: int, days: float) -> int:
    """Write the configuration and the memory; return the number of windows."""
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(directory / "demo.wav", np.tile(samples, 30), rate)
    (directory / "monitor.yaml").write_text(
        "sources: [{name: yard, kind: file, path: demo.wav}]\n"
        "window: {hop_seconds: 1.0}\n"
        "labels:\n- {id: rooster, prompts: [a rooster crowing]}\n- {id: dog, prompts: [a dog barking]}\n"
        f"web: {{enabled: true, port: {port}, token_env: PAGE_TOKEN}}\n"
    )
    os.chdir(directory)
    engine = load_qualified_engine(load(Path("monitor.yaml")), apart=False)
    like_engine = SimpleNamespace(
        identity=engine.model.identity, rate=engine.rate, length=engine.length, hop=engine.hop
    )
    samples = np.concatenate(list(read_blocks(ROOT / "recordings/demo.flac", engine.rate)))
    starts = range(0, len(samples) - engine.length, engine.hop)
    known = engine.model.embed_audio(np.stack([samples[at : at + engine.length] for at in starts]))
    draw = np.random.default_rng(0)
    places = draw.integers(0, len(known), round(24 * days) * 3_600)
    places[draw.random(len(places)) < QUIET_SHARE] = 0
    since = time.time() - len(places) * engine.hop / engine.rate - 60
    remember(directory / "state", like_engine, known[places], since=since, source="yard")
    return len(places)


def measure(port: int, process: psutil.Process, times: int) -> None:
    """Search and replay so often and print what came of it."""
    while not answers(port):
        time.sleep(0.5)
    time.sleep(20)
    before, quiet = ask(port, "status"), process.memory_info().rss
    with Observer(port, process) as alone:
        time.sleep(60)
    ask(port, "search", {"prompts": ["a rooster crowing"]})  # loads the text encoder
    loaded = process.memory_info().rss
    print(f"alone: behind at most {max(alone.lags):.2f} s, median {median(alone.lags):.2f}")
    questions: list[tuple[str, dict[str, Any]]] = [
        ("search", {"prompts": ["a rooster crowing"]}),
        ("replay", {"label": "rooster"}),
        ("replay", {"label": "rooster", "keys": {"threshold": 0.2}}),
    ]
    for path, body in questions:
        with Observer(port, process) as watched:
            taken = [seconds_of(port, path, body) for _ in range(times)]
        print(
            f"{path} {body}: median {median(taken):.2f} s, longest {max(taken):.2f}; "
            f"behind at most {max(watched.lags):.2f} s, median {median(watched.lags):.2f}; "
            f"memory at most {max(watched.sizes) / 1e6:.0f} MB"
        )
    after = ask(port, "status")
    scored, late = (after["windows"][key] - before["windows"][key] for key in ("scored", "late"))
    print(f"memory {quiet / 1e6:.0f} MB before, {loaded / 1e6:.0f} after the first search")
    print(f"windows scored {scored}, left out {late}")


class Observer:
    """Looks every half second at how far the analysis is behind, and at the size of the process."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.lags: list[float] = []
        self.sizes: list[int] = []
        self._port, self._process = port, process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.lags.append(ask(self._port, "status")["lag_seconds"])
            self.sizes.append(self._process.memory_info().rss)
            if self._over.wait(0.5):
                return


def seconds_of(port: int, path: str, body: dict[str, Any]) -> float:
    """How long an answer takes."""
    time.sleep(1.5)  # changes are rate-limited
    began = time.perf_counter()
    ask(port, path, body)
    return time.perf_counter() - began


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the API."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}",
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - of 127.0.0.1
        found: dict[str, Any] = json.load(answer)
    return found


def answers(port: int) -> bool:
    """Return whether the page is served."""
    try:
        ask(port, "health")
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
