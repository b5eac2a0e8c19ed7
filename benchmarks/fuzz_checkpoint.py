"""Damage the files of a checkpoint over and over; whatever they make happen is a `ModelError` or nothing.

    python -m benchmarks.fuzz_checkpoint --seed 1 --minutes 5

A copy of the starter loses a value, a key, some bytes, gains nested lists, absurd numbers, other weights.
Then it is read as the service reads it: small files, the audio tower with its self-test, sentences in a
process of their own.  Prints how often each kind of damage was refused or did not matter, the longest time
and the most memory; it fails with the seed of the first thing that is neither.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from monitor.detection.calibration import read_calibration
from monitor.detection.cohort_norm import read_cohort_norm
from monitor.model.checkpoint import read
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.text_subprocess import SubprocessTextEncoder
from monitor.model.towers import TextPlace
from monitor.types import ModelError
from tests.support import damage

PLACE = TextPlace("torch")
KINDS: dict[str, tuple[str, Callable[[Path, random.Random], None]]] = {
    **{name: (name, how) for name, how in damage.FILES.items()},
    "header": ("model.safetensors", damage.safetensors_header),
    "weights": ("model.safetensors", damage.weights),
}
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def hear(directory: Path, *, sentences: bool) -> None:
    """Read a checkpoint as the service does at its start."""
    files = read(directory)
    read_cohort_norm(directory, 256)
    read_calibration(directory)
    if not sentences:
        Clap.load(str(directory), engine="torch").self_test()
        return
    reader = SubprocessTextEncoder(files, PLACE, "damaged", limit_seconds=120)
    try:
        reader.embed(["a dog barking", "rain " * 30, "\u00e9\U0001f415 \u202e!"])
    finally:
        reader.close()


def main() -> int:
    """Run, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    arguments = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    longest, number, end = 0.0, 0, time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(STARTER, Path(place) / "copy")
        while time.monotonic() < end:
            chance = random.Random(f"{arguments.seed} {number}")
            # A process for sentences takes seconds: one in ten.
            kinds = [kind for kind in KINDS if (kind in _TOKENIZER) == (number % 10 == 0)]
            kind = chance.choice(kinds)
            name, how = KINDS[kind]
            how(copy / name, chance)
            begin = time.monotonic()
            try:
                hear(copy, sentences=name in _TOKENIZER)
                counts[kind, "did not matter"] += 1
            except ModelError as error:
                counts[kind, "refused"] += 1
                if not str(error).isprintable():
                    print(f"{kind}, number {number}: not one line: {error!s:.300}")
                    return 1
            except BaseException:
                print(f"{kind}, number {number} of seed {arguments.seed}:", file=sys.stderr)
                raise
            longest = max(longest, time.monotonic() - begin)
            shutil.copy(STARTER / name, copy / name)
            number += 1
    for kind in KINDS:
        print(
            f"{kind:24} {counts[kind, 'refused']:6} refused {counts[kind, 'did not matter']:6} did not matter"
        )
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    refused = sum(count for (_, what), count in counts.items() if what == "refused")
    print(
        f"{number} damaged checkpoints, seed {arguments.seed}: {refused} refused in one line, the rest did "
        f"not matter; the longest took {longest:.1f} s, the most memory of a process was {most / 1024:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
