"""A monitor that only keeps: events, near misses, minutes and clips out of thin air, as fast as it can.

For every line on standard input it makes a process that does so until it is killed.  That says on standard
output ``life PID``, ``kept ID`` for an event that is in the file with all before it, and the keeper
``over`` once it is dead.

Usage: python -m tests.support.store_writer DIRECTORY
"""

import os
import random
import sys
import threading
import time
from pathlib import Path

import numpy as np

from monitor.config import ClipsConfig, StoreConfig
from monitor.detection.event_machine import ulid
from monitor.outputs.clips import ClipLibrary, clip_path, metadata
from monitor.outputs.clips.encoding import encode
from monitor.outputs.clips.spectrogram_png import spectrogram
from monitor.outputs.store import FILE, Store
from tests.support.clip_events import DOG, GEOMETRY, event
from tests.support.events import RATE, ended, label_of
from tests.support.stored_events import miss, start_of, window

SECONDS = 12
LABELS = ("dog", "cat")


def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\n")  # at once: no kill leaves half a line


def contents():
    """Return the files of a clip, once; making them is not what is tried."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, SECONDS * RATE).astype(np.float32)
    return {".png": spectrogram(noise, GEOMETRY), ".flac": encode(noise, RATE, "flac")}


def live(directory, files, life):
    """Keep things until killed."""
    library = ClipLibrary(
        directory / "recordings", ClipsConfig(max_megabytes=20, free_megabytes=1, keep_per_label=1)
    )
    store = Store(directory / FILE, StoreConfig(), rate=RATE, remove_clip=library.delete, retry_seconds=0.1)
    threading.Thread(target=store.run, daemon=True).start()
    chance = random.Random(life)
    library.scan()
    store.on_clips_found(list(library.with_events()))
    while True:
        at = time.time()
        kept = ended(event(at=at, id=ulid(at), label=chance.choice(LABELS)))
        path = clip_path(kept)
        store.on_event(start_of(kept), label_of("dog"))
        store.on_near_miss(miss(at))
        store.on_scores(window(at + 60 * chance.random(), chance.random(), chance.random()))
        store.on_event(kept, label_of("dog"))
        assert library.put(kept, path, files, metadata.describe(kept, {}, DOG, "starter"))
        store.on_clip_outcome(kept.id, path, "kept")
        while store.waiting and chance.random() < 0.999:
            time.sleep(0.0005)
        if not store.waiting:
            assert store.trouble is None
            say("kept", kept.id)


def main(directory):
    files = contents()
    for life, _ in enumerate(sys.stdin):
        child = os.fork()
        if not child:
            say("life", os.getpid())
            live(directory, files, life)
        os.waitpid(child, 0)
        say("over")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
