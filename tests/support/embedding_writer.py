"""A monitor that only remembers: windows of two sources out of thin air, as fast as the disk takes them.

For every line on standard input it makes a process that does so until it is killed.  That says on standard
output ``life PID``, ``kept COUNT`` once so many windows of this life are said to be in the files, and the
keeper ``over`` once it is dead.

Usage: python -m tests.support.embedding_writer DIRECTORY
"""

import os
import random
import sys
import threading
import time
from pathlib import Path

from monitor.config import MemoryConfig
from monitor.outputs import embedding_memory
from monitor.outputs.embedding_memory import EmbeddingMemory
from tests.support.memories import HEADER, IDENTITY, scores

SOURCES = ("room", "hall")
LIFE = 1_000_000
"""The first window of a life has a number of its own, a multiple of this."""


def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\n")  # at once: no kill leaves half a line


def live(directory, life):
    """Remember things until killed."""
    embedding_memory.EVERY_SECONDS = 0.002
    config = MemoryConfig(free_megabytes=0, keep_days=3650)
    memory = EmbeddingMemory(directory, config, IDENTITY, dict.fromkeys(SOURCES, HEADER))
    threading.Thread(target=memory.run, daemon=True).start()
    chance, number = random.Random(life), LIFE * life
    said = 0
    while True:
        for _ in range(chance.randrange(1, 20)):
            for source in SOURCES:
                memory.on_scores(scores(number, source, at=time.time()))
            number += 1
        time.sleep(0.001)
        if memory.written > said:
            said = memory.written
            say("kept", said)


def main(directory):
    for life, _ in enumerate(sys.stdin):
        child = os.fork()
        if not child:
            say("life", os.getpid())
            live(directory, life)
        os.waitpid(child, 0)
        say("over")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
