"""Everything that no client should send, for minutes, beside hundreds of connections that say nothing.

    python -m benchmarks.fuzz_web [--minutes 5] [--seed 1]

The monitor is the real one, a process of its own, that hears the demo recording.  Any 500, anything that
gets no end within a minute, a health that is not answered, or a monitor that ends is a failure: exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from tests.support import web_attacks
from tests.support.broker import free_port
from tests.support.web_server import TOKEN

ROOT = Path(__file__).parents[1]
SILENT = 300
"""Connections that say nothing, or a letter now and then."""

OURS = "127.0.0.1"
THEIRS = [f"127.9.{number // 8}.{number % 8 + 1}" for number in range(800)]


def main() -> None:
    """Parse, start, attack, say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place, port = Path(directory), free_port()
        with (place / "log").open("wb") as log:
            process = start(place, port, given.minutes, log)
            try:
                failed = measure(port, process, place / "log", given)
            finally:
                process.terminate()
                process.wait(60)
    sys.exit(failed)


def measure(port: int, process: subprocess.Popen[bytes], log: Path, given: argparse.Namespace) -> bool:
    """Attack for so long; print what came of it and return whether anything failed."""
    chance, known = random.Random(given.seed), psutil.Process(process.pid)
    found, unending, slowest = Counter[int](), 0, 0.0
    silent: list[socket.socket] = []
    time.sleep(5)
    for _ in range(200):  # what is loaded at the first use is loaded
        web_attacks.attack(port, chance, address=chance.choice(THEIRS))
    before, began, looked = known.memory_info().rss, time.monotonic(), 0.0
    sizes = [before]
    while time.monotonic() - began < 60 * given.minutes and process.poll() is None:
        try:
            found.update(web_attacks.attack(port, chance, address=chance.choice(THEIRS)) or [0])
        except TimeoutError:
            unending += 1
        bother(port, silent, chance)
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            ask(port, "health")
            slowest = max(slowest, time.monotonic() - looked)
            sizes.append(known.memory_info().rss)
    for each in silent:
        each.close()
    told: dict[str, Any] = ask(port, "status")
    web, half = told["web"], len(sizes) // 2
    by_hundreds = Counter(f"{status // 100}xx" for status in found.elements() if status)
    print(dict(sorted(found.items())))
    print(f"windows scored {told['windows']['scored']}, late {told['windows']['late']}")
    print(
        f"seed {given.seed}, {given.minutes:g} min: {found.total()} attacks, "
        f"{', '.join(f'{count} {name}' for name, count in sorted(by_hundreds.items()))}, cut off {found[0]}; "
        f"500s {found[500]}, unending {unending}, faults {web['faults']}; connections turned away "
        f"{web['turned_away']}, expired {web['expired']}; health within {slowest:.2f} s; memory at most "
        f"{max(sizes[:half]) / 1e6:.0f} MB, in the second half {max(sizes[half:]) / 1e6:.0f}; "
        f"log {log.stat().st_size} bytes"
    )
    return bool(found[500] or unending or web["faults"] or process.poll() is not None)


def bother(port: int, silent: list[socket.socket], chance: random.Random) -> None:
    """Keep as many silent connections as there may be; some say a letter, some read nothing."""
    while len(silent) < SILENT:
        connection = socket.create_connection((OURS, port), 20, (chance.choice(THEIRS), 0))
        with contextlib.suppress(OSError):
            if chance.random() < 0.2:  # noqa: PLR2004
                connection.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        silent.append(connection)
    one = chance.randrange(len(silent))
    try:
        silent[one].sendall(b"G")
    except OSError:
        silent.pop(one).close()


def start(directory: Path, port: int, minutes: float, log: Any) -> subprocess.Popen[bytes]:
    """Start a monitor with the labels that the attacks speak of, and wait for its page."""
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(directory / "long.flac", np.tile(samples, int(minutes) + 5), rate)
    (directory / "token").write_text(TOKEN)
    (directory / "monitor.yaml").write_text(
        f"""
sources: [{{name: crib, kind: file, path: long.flac}}]
labels: [{{id: dog, prompts: [a dog barking]}}, {{id: cat, prompts: [a cat meowing]}}]
clips: {{enabled: true, speech_filter: false}}
web: {{enabled: true, port: {port}, token_file: token}}
"""
    )
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml", "--json"]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=log)
    while process.poll() is None:
        try:
            ask(port, "health")
        except OSError:
            time.sleep(0.5)
        else:
            return process
    raise SystemExit("the monitor does not start")


def ask(port: int, path: str) -> Any:
    """Ask the monitor; healthy or not, it answers."""
    try:
        with urllib.request.urlopen(f"http://{OURS}:{port}/api/{path}", timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


if __name__ == "__main__":
    main()
