"""Memory that is freed goes back to the system."""

import subprocess
import sys

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.system import malloc
from tests.support.command_line import ROOT, windows_in
from tests.support.observer import Observer

DEMO_SECONDS = 68


CYCLES = """
from collections import deque

from monitor.system import malloc


class Cycle:
    alive = 0

    def __init__(self):
        Cycle.alive += 1
        self.me = self

    def __del__(self):
        Cycle.alive -= 1


def most_alive():
    most, in_use = 0, deque(maxlen=10_000)  # long enough to be taken for old
    for _ in range(400_000):
        in_use.append(Cycle())
        most = max(most, Cycle.alive)
    return most


malloc.release = lambda: None
old = [[] for _ in range(1_000_000)]
tidy = malloc.MemoryTrimmer(0.0)
before = most_alive()
tidy(malloc.SETTLED_SECONDS - 1)
tidy(malloc.SETTLED_SECONDS)
print(before, most_alive())
"""


HOLES = """
import numpy as np
import psutil
from monitor.system.malloc import release

resident = psutil.Process().memory_info
blocks = [np.ones(10_000) for _ in range(2_000)]  # 160 MB, each too small for a mapping of its own
kept = blocks[::100]
full = resident().rss
del blocks
release()
print(full - resident().rss, sum(block[0] for block in kept))
"""

ARENAS = """
import ctypes
import threading
from monitor.system.malloc import limit_arenas

limit_arenas()
together = threading.Barrier(20)
kept = []

def allocate():
    together.wait()  # all at once, so that each would be given an arena of its own
    kept.append(ctypes.CDLL(None).malloc(1000))
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
stream = ctypes.CDLL(None)
stream.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
stream.fdopen.restype = ctypes.c_void_p
stream.malloc_info(0, stream.fdopen(1, b"w"))
stream.fflush(None)
"""


def test_many_threads_share_two_arenas():
    out = subprocess.run([sys.executable, "-c", ARENAS], check=True, capture_output=True, text=True).stdout
    assert out.count("<heap nr=") == 2


def test_garbage_in_cycles_is_found_soon_however_much_is_old():
    out = subprocess.run([sys.executable, "-c", CYCLES], check=True, capture_output=True, text=True).stdout
    before, after = map(int, out.split())
    assert before > 200_000
    assert after < 150_000


def test_what_is_freed_between_what_is_kept_goes_back():
    out = subprocess.run([sys.executable, "-c", HOLES], check=True, capture_output=True, text=True).stdout
    freed, kept = out.split()
    assert int(freed) > 120e6
    assert float(kept) == 20


def test_the_monitor_gives_back_what_its_start_took_and_again_now_and_then(tmp_path, monkeypatch):
    config = Config(
        sources=(SourceConfig(name="demo", kind="file", path=ROOT / "recordings/demo.flac"),),
        labels=(LabelConfig(id="dog", prompts=("a dog barking",)),),
        state=tmp_path / "state",
        recordings=tmp_path / "recordings",
    )
    daemon = Daemon(build(config))  # which itself has something to give back
    scored, given = [], []

    def note():
        given.append(len(scored))
        if len(given) == 2:
            daemon.stop()

    monkeypatch.setattr(malloc, "release", note)
    monkeypatch.setattr(malloc, "SETTLED_SECONDS", 1.0)
    monkeypatch.setattr(malloc, "EVERY_SECONDS", 2.0)
    daemon.run(Observer(on_scores=scored.append))
    assert given[0] <= given[1] < windows_in(DEMO_SECONDS)
