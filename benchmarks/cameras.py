"""Cameras that restart or hang: for how long the source is offline.  Exit 1 if it is not back in 10 s.

A real RTSP server plays a recording as AAC and as Opus to a real daemon, which publishes to a real broker.
The server is killed and restarted, and later stopped with its connections open::

    python -m benchmarks.cameras [--rounds 5]

"offline" counts from the moment of the kill, "online" from the one in which the server takes connections.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.camera_monitor import CameraMonitor, camera_monitor

MOST_SECONDS = 10.0


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, camera_monitor(Path(directory)) as monitor:
        threads, files = monitor.process.num_threads(), monitor.process.num_fds()
        back = []
        for number in range(rounds):
            monitor.server.kill()
            offline = _seconds_until(monitor, "offline")
            monitor.server.start()
            back.append(_seconds_until(monitor, "online"))
            print(f"restart {number + 1}: offline after {offline:.1f} s, online after {back[-1]:.1f} s")
        offline = _seconds_until(monitor, "offline", monitor.server.freeze)
        back.append(_seconds_until(monitor, "online", monitor.server.thaw))
        print(f"a server that hangs: offline after {offline:.1f} s, online after {back[-1]:.1f} s")
        print(f"threads: {threads} before, {monitor.process.num_threads()} after")
        print(f"files: {files} before, {monitor.process.num_fds()} after")
        others = "untouched" if monitor.states_of_the_radio == ["offline", "online"] else "touched"
        print(f"the source that has nothing to do with it: {others}")
    good = max(back) <= MOST_SECONDS and others == "untouched"
    print("good" if good else "not good enough")
    return 0 if good else 1


def _seconds_until(monitor: CameraMonitor, state: str, what: Callable[[], object] = lambda: None) -> float:
    began = time.monotonic()
    what()
    monitor.wait_until(state)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
