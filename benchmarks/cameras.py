"""How long is a camera deaf when it is restarted, and when it hangs?  Exit 1 if it is not back in 10 s.

A real RTSP server (`tests/rtsp.py`) plays a recording as AAC and as Opus; a real daemon listens to both and
tells a real broker.  The server is killed and restarted, and later stopped with its connections open::

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

from tests.daemon.test_streams import House, monitor_of

MOST_SECONDS = 10.0


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, monitor_of(Path(directory)) as house:
        threads, files = house.process.num_threads(), house.process.num_fds()
        back = []
        for number in range(rounds):
            house.server.kill()
            offline = _seconds_until(house, "offline")
            house.server.start()
            back.append(_seconds_until(house, "online"))
            print(f"restart {number + 1}: offline after {offline:.1f} s, online after {back[-1]:.1f} s")
        offline = _seconds_until(house, "offline", house.server.freeze)
        back.append(_seconds_until(house, "online", house.server.thaw))
        print(f"a server that hangs: offline after {offline:.1f} s, online after {back[-1]:.1f} s")
        print(f"threads: {threads} before, {house.process.num_threads()} after")
        print(f"files: {files} before, {house.process.num_fds()} after")
        others = "untouched" if house.states_of_the_radio == ["offline", "online"] else "touched"
        print(f"the source that has nothing to do with it: {others}")
    good = max(back) <= MOST_SECONDS and others == "untouched"
    print("good" if good else "not good enough")
    return 0 if good else 1


def _seconds_until(house: House, state: str, what: Callable[[], object] = lambda: None) -> float:
    began = time.monotonic()
    what()
    house.wait_until(state)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
