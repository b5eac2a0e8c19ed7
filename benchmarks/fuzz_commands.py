"""Fuzzing for minutes: commands, requests at the control socket, kept changes and configurations.

Nonsense from `tests/nonsense.py` goes through the real parts as the daemon wires them: what the broker would
hand on, the queue, the control and its file; the control socket; a start with any ``overrides.json``; a
reload of any configuration.  Whatever comes must be done or refused in plain words: anything else ends the
run with what was said last and the seed of the round.

Usage: python -m benchmarks.fuzz_commands [--minutes 5] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from monitor.config import load
from monitor.daemon.control_socket import THREADS, ControlSocket, ask_once
from monitor.types import MonitorError
from tests.support import nonsense
from tests.support.wired import NODE, Wired

SLOW_SECONDS = 30.0
"""Longer must no round take."""

COMMANDS, REQUESTS, FILES, CONFIGURATIONS = 300, 50, 30, 30
"""Of each in a round."""


def commands(chance: random.Random, state: Path, counts: Counter[str]) -> None:
    """Say commands as a broker hands them on, then see that what holds can be kept and read again."""
    with Wired(state) as wired:
        for _ in range(COMMANDS):
            wired.say(*nonsense.message(chance, NODE))
        wired.settle()
    for topic, why in wired.refused:
        assert topic.isprintable(), topic
        assert why.isprintable(), why
        assert why
    requests = wired.requests
    counts["commands"] += COMMANDS
    counts["done"] += requests.done
    counts["refused"] += requests.refused
    counts["replaced"] += requests.replaced
    counts["lost"] += requests.lost
    assert requests.done + requests.refused + requests.replaced + requests.lost == COMMANDS + 1
    assert Wired(state).control.active_labels == wired.control.active_labels


def requests_at_the_socket(chance: random.Random, state: Path, counts: Counter[str]) -> None:
    """Ask at the control socket, read or do not, and see that the next is still answered."""
    wired = Wired(state)
    with serving(wired, state):
        for _ in range(REQUESTS):
            with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(ConnectionError):
                connection.settimeout(SLOW_SECONDS)
                connection.connect(str(state / "control.sock"))
                connection.sendall(nonsense.request(chance))
                if chance.randrange(5):  # one of five reads nothing
                    connection.shutdown(socket.SHUT_WR)
                    json.loads(connection.recv(10_000).partition(b"\n")[0] or "{}")
            counts["requests"] += 1
        assert ask_once(state, {"command": "status"}) == {"armed": wired.control.active_labels.armed}


@contextlib.contextmanager
def serving(wired: Wired, state: Path) -> Iterator[None]:
    """Answer at the control socket as the daemon does."""
    server = ControlSocket(
        state,
        {
            "status": lambda _: [{"armed": wired.control.active_labels.armed}],
            "reload": lambda _: [{"at": wired.control.reload().at}],
            "watch": lambda _: ({"number": number} for number in range(100)),
        },
    )
    assert server.open()
    threads = [threading.Thread(target=server.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        server.close()
        for thread in threads:
            thread.join(SLOW_SECONDS)


def kept_changes(chance: random.Random, state: Path, counts: Counter[str]) -> None:
    """Start with any file of changes; something must be listened for, and a change must be possible."""
    for _ in range(FILES):
        (state / "overrides.json").write_bytes(nonsense.overrides(chance))
        control = Wired(state).control
        assert control.active_labels.enabled
        control.arm(armed=True)
        counts["files"] += 1
        counts["set aside"] += (state / "overrides.broken.json").exists()
        (state / "overrides.broken.json").unlink(missing_ok=True)


def configurations(chance: random.Random, state: Path, counts: Counter[str]) -> None:
    """Reload any configuration; what is refused is so in plain lines."""
    path = state / "monitor.yaml"
    wired = Wired(state, reread=lambda: load(path))
    for _ in range(CONFIGURATIONS):
        path.write_bytes(nonsense.configuration(chance))
        counts["configurations"] += 1
        with contextlib.suppress(MonitorError):
            wired.control.reload()
        assert wired.control.last_reload is not None
        faults = wired.control.last_reload.faults
        counts["configurations refused"] += bool(faults)
        assert all(line and line.isprintable() for line in faults), faults


def main() -> None:
    """Go on until the time is over, and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("monitor").addHandler(logging.NullHandler())
    logging.getLogger("monitor").propagate = False
    counts: Counter[str] = Counter()
    process = psutil.Process()
    over_at = time.monotonic() + 60 * arguments.minutes
    rounds, slowest, warm = 0, 0.0, 0
    while time.monotonic() < over_at:
        begun_at, seed = time.monotonic(), arguments.seed * 1_000_000 + rounds
        try:
            for number, step in enumerate((commands, requests_at_the_socket, kept_changes, configurations)):
                with tempfile.TemporaryDirectory() as directory:
                    step(random.Random(10 * seed + number), Path(directory), counts)
        except BaseException:
            sys.stderr.write(f"round {rounds} of seed {arguments.seed}: failed\n")
            raise
        slowest = max(slowest, time.monotonic() - begun_at)
        rounds += 1
        warm = process.memory_info().rss if rounds == 20 else warm  # noqa: PLR2004 - caches are full by then
    assert slowest < SLOW_SECONDS, f"a round took {slowest:.1f} s"
    grown = (process.memory_info().rss - warm) / 1e6 if warm else 0.0
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    sys.stdout.write(
        f"seed {arguments.seed}, {arguments.minutes:g} minutes, {rounds} rounds: {told}; "
        f"the slowest round {slowest:.1f} s, memory grown by {grown:.0f} MB; nothing else happened\n"
    )


if __name__ == "__main__":
    main()
