"""Is every sample accounted for when the processor is busy?  Exit 1 if not.

A virtual microphone (`tests/sound_card.py`) is listened to for minutes, with stress-ng on the
processors, while paplay plays a sequence in which every 8 samples tell where they belong.  What the
ring buffer received is then compared with the sequence, sample by sample::

    python -m benchmarks.capture_under_load [--seconds 300] [--load 2]

Silence that paplay itself lets in when it is late is reported, and is not a loss of ours.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.microphone import open_microphone
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import Samples
from tests.support.sound_card import RATE, SoundCard, plugged_in

_LEAD_SECONDS = 2
_KEY = 8


@dataclass(slots=True)
class Comparison:
    """What became of the samples that were played."""

    captured: int = 0
    missing: int = 0
    inserted: int = 0
    """Zeros that were never played."""
    wrong: int = 0
    """Samples that are neither where they belong nor anywhere else."""


class Microphone:
    """Everything that the ring received, in order; read from it in time, as the analysis does."""

    def __init__(self) -> None:
        self.ring = RingBuffer(60 * RATE, RATE)
        self.status = SourceStatus("mic")
        self.gaps: list[int] = []
        self.stop = threading.Event()
        self.parts: list[Samples] = []
        self._read = 0
        self._thread = threading.Thread(target=self._listen, name="listen mic")

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread.start()

    def read(self) -> None:
        """Take what is new out of the ring."""
        stop = self.ring.stop
        self.parts.append(self.ring.read(self._read, stop))
        self._read = stop

    def close(self) -> None:
        """Stop listening."""
        self.stop.set()
        self._thread.join()
        self.read()

    def _listen(self) -> None:
        config = SourceConfig(name="mic", kind="microphone", device=SoundCard.microphone, channel=1)
        blocks = open_microphone(config, SourceContext(RATE, self.status, self.stop))
        for block in blocks:
            if block.gap:
                self.gaps.append(block.start)
            self.ring.append(block)


def sequence(seconds: float) -> NDArray[np.int16]:
    """Noise without zeros, the same at every run, shape (n,)."""
    noise = np.random.default_rng(2026).integers(1, 2**16 - 1, round(seconds * RATE))
    return np.where(noise < 2**15, noise, noise - 2**16).astype(np.int16)


def compare(played: NDArray[np.int16], heard: NDArray[np.int16]) -> Comparison:
    """Find what was played in what was heard, from the first to the last; both shape (n,)."""
    found = Comparison()
    at, i = 0, int(np.argmax(heard != 0)) if heard.any() else len(heard)
    while i < len(heard) and at < len(played):
        length = min(len(heard) - i, len(played) - at)
        same = heard[i : i + length] == played[at : at + length]
        run = length if same.all() else int(np.argmin(same))
        found.captured += run
        i, at = i + run, at + run
        if run == length:
            break
        zeros = int(np.argmax(heard[i:] != 0)) if heard[i:].any() else len(heard) - i
        if zeros:
            i += zeros
            found.inserted += zeros if i < len(heard) else 0
            continue
        there = _find(played, heard[i : i + _KEY], at)
        if there is None:
            found.wrong += 1
            i += 1
        else:
            found.missing += there - at
            at = there
    found.missing += len(played) - at
    return found


def _find(played: NDArray[np.int16], key: NDArray[np.int16], start: int) -> int | None:
    """Index of ``key`` in ``played`` from ``start`` on."""
    text, wanted = played[start:].tobytes(), key.tobytes()
    byte = text.find(wanted)
    while byte % 2 and byte >= 0:
        byte = text.find(wanted, byte + 1)
    return None if byte < 0 or len(key) < _KEY else start + byte // 2


@contextmanager
def load(workers: int, seconds: float) -> Iterator[str]:
    """Keep the processors busy; says how."""
    if not workers or shutil.which("stress-ng") is None:
        yield "none"
        return
    command = ["stress-ng", "--cpu", str(workers), "--timeout", f"{seconds + 60:.0f}s", "--quiet"]
    with subprocess.Popen(command) as process:
        try:
            yield " ".join(command[:3])
        finally:
            process.terminate()


def run(seconds: float, workers: int) -> bool:
    """Play and listen for ``seconds`` seconds, print the figures; True if all is accounted for."""
    played = sequence(seconds)
    mic = Microphone()
    with tempfile.TemporaryDirectory() as directory, plugged_in() as card:
        path = Path(directory) / "sequence.wav"
        # Silence first: PulseAudio takes back what its sink had rendered ahead when a sound begins.
        lead = np.zeros(_LEAD_SECONDS * RATE, dtype=np.int16)
        soundfile.write(path, np.repeat(np.concatenate([lead, played])[:, None], 2, axis=1), RATE)
        mic.start()
        while mic.ring.stop < RATE:
            time.sleep(0.1)
        with load(workers, seconds) as busy, card.play(path) as player:
            while player.poll() is None:
                time.sleep(1.0)
                mic.read()
        until = mic.ring.stop + 2 * RATE
        while mic.ring.stop < until:
            time.sleep(0.1)
        mic.close()
    found = compare(played, np.round(np.concatenate(mic.parts) * 2**15).astype(np.int16))
    unaccounted = max(0, found.missing - mic.status.lost) + found.wrong
    print(f"{seconds:g} s at {RATE} Hz, load: {busy}, paplay exit {player.returncode}")
    print(f"played       {len(played):>10}")
    print(f"captured     {found.captured:>10}")
    print(f"missing      {found.missing:>10}")
    print(f"counted lost {mic.status.lost:>10}  ({mic.status.overflows} overflows, {len(mic.gaps)} gaps)")
    print(f"inserted     {found.inserted:>10}  (silence, when paplay was late)")
    print(f"unaccounted  {unaccounted:>10}")
    return unaccounted == 0 and player.returncode == 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (default 300)")
    parser.add_argument("--load", type=int, default=2, help="workers of stress-ng (default 2; 0: none)")
    arguments = parser.parse_args()
    return 0 if run(arguments.seconds, arguments.load) else 1


if __name__ == "__main__":
    sys.exit(main())
