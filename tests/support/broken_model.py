"""A monitor whose audio tower is in trouble from the third second on: it hangs, dies, or is slow.

Usage: python -m tests.support.broken_model TROUBLE PATIENCE CONFIG
"""

import sys
import threading
import time
from pathlib import Path

from monitor.cli.logs import log_to_stderr
from monitor.config import load
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon

WINDOWS = 3
"""So many go well at first."""


def hangs(_):
    threading.Event().wait()


def dies(_):
    raise RuntimeError("the tower has fallen")


def troubled(trouble):
    """Return what stands around a tower."""

    def around(tower):
        taken = 0

        def embed(windows):
            nonlocal taken
            taken += 1
            if taken > WINDOWS:
                trouble(windows)
            return tower(windows)

        return embed

    return around


def slow_while(event, seconds):
    """Return what stands around a tower that takes so many seconds while an event is set."""

    def around(tower):
        def embed(windows):
            if event.is_set():
                time.sleep(seconds)
            return tower(windows)

        return embed

    return around


def main(trouble, patience, config):
    log_to_stderr("info")
    around = troubled({"hangs": hangs, "dies": dies}[trouble])
    Daemon(build(load(Path(config)), around=around), patience_seconds=float(patience)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
